// How the pages become the files inside the client: nothing inline, nothing from elsewhere, so that its
// Content-Security-Policy can forbid both. `--mode mock` puts an invented agent behind them, for a browser.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  base: "/",
  // The shared package lies beside the console; React is this package's own.
  resolve: { preserveSymlinks: true, dedupe: ["react", "react-dom"] },
  build: {
    target: ["es2022", "safari17.5"],
    cssTarget: ["safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
  },
  test: {
    environment: "jsdom",
    include: ["test/**/*.test.ts", "test/**/*.test.tsx"],
    setupFiles: ["test/setup.ts"],
    restoreMocks: true,
  },
});
