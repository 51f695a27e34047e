// Starts the window's pages.
import { createRoot } from "react-dom/client";
import "@branchline/look/tokens.css";
import "@branchline/look/parts.css";
import "./client.css";
import { BackendContext } from "./api/backend.ts";
import { App } from "./app.tsx";

async function begin() {
  const { backend } =
    import.meta.env.MODE === "mock"
      ? await import("./mock/mock.ts")
      : { backend: (await import("./api/tauri.ts")).tauri };
  const root = document.getElementById("root");
  if (!root) return;
  createRoot(root).render(
    <BackendContext value={backend}>
      <App />
    </BackendContext>,
  );
}

void begin();
