// How the console becomes the files that the server embeds: nothing inline, nothing from elsewhere, so that
// the server's Content-Security-Policy can forbid both.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  base: "/",
  build: {
    target: ["es2022", "chrome123", "firefox121", "safari17.5"],
    cssTarget: ["chrome123", "firefox121", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
    reportCompressedSize: false,
  },
  server: {
    // `npm run dev` speaks to a server on this machine: `serve --insecure-loopback`.
    proxy: { "/desk": { target: "http://127.0.0.1:8471", ws: true } },
  },
  test: {
    environment: "jsdom",
    include: ["test/**/*.test.ts", "test/**/*.test.tsx"],
    setupFiles: ["test/setup.ts"],
    restoreMocks: true,
  },
});
