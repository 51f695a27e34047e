// The live connection: `graphql-transport-ws`, one subscription, resumed behind the last position seen.
// It comes back by itself, with jitter added after the cap so that 200 consoles do not return at once, and
// notices a connection that is open and dead by pings of its own.
import { type ChangesAnswer, documents } from "./generated.ts";

export type Change = ChangesAnswer["changes"];
export type LinkState = "connecting" | "on" | "off";

const FIRST_PAUSE_MS = 500;
const MOST_PAUSE_MS = 20_000;
const JITTER_MS = 3_000;
const PING_EVERY_MS = 15_000;
const PONG_WITHIN_MS = 10_000;
/** Changes that may be read before an answer must have come. */
const HELLO_WITHIN_MS = 15_000;

export interface LiveListener {
  change(change: Change): void;
  state(state: LinkState): void;
  /** Central cannot continue where we were: whatever is shown must be asked for again. */
  lost(): void;
  /** Central wants to know who this is. */
  denied(): void;
}

export class Live {
  #listener: LiveListener;
  #open: () => WebSocket;
  #after: number;
  #socket: WebSocket | null = null;
  #failures = 0;
  #running = false;
  #again: ReturnType<typeof setTimeout> | undefined;
  #ping: ReturnType<typeof setTimeout> | undefined;
  #deadline: ReturnType<typeof setTimeout> | undefined;

  constructor(listener: LiveListener, after: number, open = openSocket) {
    this.#listener = listener;
    this.#after = after;
    this.#open = open;
  }

  start(): void {
    this.#running = true;
    this.#connect();
  }

  stop(): void {
    this.#running = false;
    clearTimeout(this.#again);
    this.#drop();
  }

  /** The network came back, or somebody looks at the page again: do not wait out the pause. */
  nudge(): void {
    if (!this.#running || this.#socket) return;
    clearTimeout(this.#again);
    this.#connect();
  }

  #connect(): void {
    this.#listener.state("connecting");
    let socket: WebSocket;
    try {
      socket = this.#open();
    } catch {
      this.#retry();
      return;
    }
    this.#socket = socket;
    this.#deadline = setTimeout(() => this.#failed(socket), HELLO_WITHIN_MS);
    socket.onopen = () => socket.send(JSON.stringify({ type: "connection_init" }));
    socket.onmessage = (event) => this.#heard(socket, String(event.data));
    socket.onclose = (event) => {
      if (socket !== this.#socket) return;
      if (event.code === 4401 || event.code === 4403) this.#listener.denied();
      this.#failed(socket);
    };
  }

  #heard(socket: WebSocket, data: string): void {
    if (socket !== this.#socket) return;
    let message: { type?: string; payload?: { data?: ChangesAnswer | null; errors?: unknown } };
    try {
      message = JSON.parse(data);
    } catch {
      this.#failed(socket);
      return;
    }
    switch (message.type) {
      case "connection_ack": {
        const payload = {
          query: documents.Changes,
          operationName: "Changes",
          variables: { after: this.#after },
        };
        socket.send(JSON.stringify({ id: "1", type: "subscribe", payload }));
        clearTimeout(this.#deadline);
        this.#failures = 0;
        this.#listener.state("on");
        this.#keepAlive(socket);
        break;
      }
      case "next": {
        const change = message.payload?.data?.changes;
        // What was seen is not told twice, whatever the server repeats.
        if (change && change.position > this.#after) {
          this.#after = change.position;
          this.#listener.change(change);
        } else if (!change) this.#cannotContinue(socket);
        break;
      }
      case "ping":
        socket.send(JSON.stringify({ type: "pong" }));
        break;
      case "pong":
        clearTimeout(this.#deadline);
        break;
      case "error":
        this.#cannotContinue(socket);
        break;
      case "complete":
        this.#failed(socket);
        break;
    }
  }

  #cannotContinue(socket: WebSocket): void {
    this.#listener.lost();
    this.#failed(socket);
  }

  /** Continues behind this position from the next connection on: all before it was asked for. */
  resumeAt(position: number): void {
    this.#after = position;
  }

  #keepAlive(socket: WebSocket): void {
    this.#ping = setTimeout(() => {
      if (socket !== this.#socket) return;
      socket.send(JSON.stringify({ type: "ping" }));
      clearTimeout(this.#deadline);
      this.#deadline = setTimeout(() => this.#failed(socket), PONG_WITHIN_MS);
      this.#keepAlive(socket);
    }, PING_EVERY_MS);
  }

  #failed(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#drop();
    if (this.#running) this.#retry();
  }

  #drop(): void {
    clearTimeout(this.#ping);
    clearTimeout(this.#deadline);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #retry(): void {
    this.#listener.state("off");
    const pause = Math.min(MOST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures, 10));
    this.#failures += 1;
    this.#again = setTimeout(() => this.#connect(), pause + Math.random() * Math.min(JITTER_MS, pause));
  }
}

function openSocket(): WebSocket {
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  return new WebSocket(`${scheme}://${location.host}/desk/v1/live`, "graphql-transport-ws");
}
