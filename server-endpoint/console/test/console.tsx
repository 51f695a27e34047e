// The whole console on a mock desk, as a person finds it.
import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { vi } from "vitest";
import { App } from "../src/app.tsx";
import { type Language, Speaking } from "../src/words/index.tsx";
import { type MockDesk, MockUpload } from "./mock.ts";

export function openConsole(desk: MockDesk, hash = "", language: Language = "en") {
  vi.stubGlobal("fetch", desk.fetch);
  vi.stubGlobal(
    "WebSocket",
    class {
      constructor() {
        // biome-ignore lint/correctness/noConstructorReturn: it stands in for a WebSocket
        return desk.open();
      }
    },
  );
  vi.stubGlobal(
    "XMLHttpRequest",
    class {
      constructor() {
        // biome-ignore lint/correctness/noConstructorReturn: it stands in for an XMLHttpRequest
        return new MockUpload(desk);
      }
    },
  );
  location.hash = hash;
  render(
    <Speaking first={language}>
      <App />
    </Speaking>,
  );
  return userEvent.setup();
}

export const heading = (name: string | RegExp) => screen.findByRole("heading", { level: 1, name });
