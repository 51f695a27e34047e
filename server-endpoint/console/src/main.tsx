// The console's beginning: the page's one root.
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app.tsx";
import { tidyDrafts } from "./kept.ts";
import { applyTheme } from "./parts/choices.tsx";
import { Speaking } from "./words/index.tsx";
import "@branchline/look/tokens.css";
import "@branchline/look/parts.css";
import "./console.css";

applyTheme();
tidyDrafts();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <Speaking>
        <App />
      </Speaking>
    </StrictMode>,
  );
}
