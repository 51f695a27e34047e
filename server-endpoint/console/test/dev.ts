// The console on the sample desk, in a browser. Never part of a build.
import { sampleDesk } from "./sample.ts";

const desk = sampleDesk();
window.fetch = desk.fetch;
window.WebSocket = class {
  constructor() {
    // biome-ignore lint/correctness/noConstructorReturn: it stands in for a WebSocket
    return desk.open();
  }
} as unknown as typeof WebSocket;
Object.assign(window, { desk });
void import("../src/main.tsx");
