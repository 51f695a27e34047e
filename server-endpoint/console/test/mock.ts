// The desk's API in memory, for component tests and `npm run dev` without a server: it answers what the
// contract says, so far as the console asks, and can be told to fail.
import type { Agent, Branch, Entry, Right, Summary } from "../src/api/generated.ts";

export interface MockTicket {
  summary: Summary;
  description: string;
  contact: string;
  asset: string | null;
  mergedInto: string | null;
  merged: string[];
  timeline: Entry[];
  files: Entry["files"];
}

export interface Problem {
  status: number;
  type: string;
  detail?: string;
  class?: string;
  version?: number;
}

type Given = Record<string, unknown>;

const iso = (ms: number) => new Date(ms).toISOString();

export class MockDesk {
  signedIn = true;
  mustChange = false;
  password = "correct horse battery";
  rights: Right[] = ["READ", "REPLY", "RELEASE", "ADMINISTER"];
  behindSince: string | null = null;
  /** The next commands' fate. */
  failing: Problem | null = null;
  tickets: MockTicket[] = [];
  branches: Branch[] = [];
  catalogue: Given = { serial: 1, categories: [] };
  commands: Given[] = [];
  position = 100;
  sockets = new Set<MockSocket>();
  subscribedAfter: number[] = [];
  /** What central says of files when it is asked, by id. */
  verdicts = new Map<string, { state: string; detail?: string }>();
  /** Files on their way up, newest last. */
  uploads: MockUpload[] = [];

  addTicket(given: Partial<Summary> & { number: string }, more: Partial<MockTicket> = {}): MockTicket {
    this.position += 1;
    const at = iso(Date.now() - (this.tickets.length + 1) * 37 * 60_000);
    const summary: Summary = {
      branch: given.number.slice(0, 3),
      state: "NEW",
      priority: "NORMAL",
      category: "",
      subject: "Printer prints blank pages",
      reporter: "martin",
      assignee: null,
      tags: [],
      filedAt: at,
      receivedAt: at,
      changedAt: at,
      version: this.position,
      comments: 0,
      replies: 0,
      files: 0,
      service: null,
      ...given,
    };
    const ticket = {
      summary,
      description: "As filed.",
      contact: "Martin, +33 4 72 00 00 00",
      asset: null,
      mergedInto: null,
      merged: [],
      timeline: [],
      files: [],
      ...more,
    };
    this.tickets.push(ticket);
    return ticket;
  }

  /** Something that happens at central, told to whoever listens. */
  say(ticket: MockTicket, entry: Partial<Entry> & { kind: Entry["kind"] }): void {
    this.position += 1;
    ticket.summary = { ...ticket.summary, version: this.position, changedAt: iso(Date.now()) };
    ticket.timeline = [
      ...ticket.timeline,
      {
        position: this.position,
        at: iso(Date.now()),
        saidAt: null,
        who: "paula",
        said: "",
        files: [],
        ...entry,
      },
    ];
    this.tell(ticket);
  }

  tell(ticket: MockTicket): void {
    for (const socket of this.sockets) socket.change(this.position, ticket);
  }

  readonly fetch = async (input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> => {
    const path = String(input).replace(/^.*\/desk\/v1\//, "");
    const method = init.method ?? "GET";
    const text = typeof init.body === "string" ? init.body : "";
    const body = text ? (JSON.parse(text) as Given) : {};
    await Promise.resolve();
    if (path === "graphql") return this.#graphql(body);
    return this.#rest(method, path, body);
  };

  readonly open = (): WebSocket => new MockSocket(this) as unknown as WebSocket;

  #graphql(body: Given): Response {
    if (!this.signedIn) return problem({ status: 401, type: "unauthenticated" });
    const variables = (body.variables ?? {}) as Given;
    const freshness = { position: this.position, behindSince: this.behindSince };
    switch (body.operationName) {
      case "Start":
        return json({
          data: { me: { name: "paula", rights: this.rights }, freshness, tally: this.#tally() },
        });
      case "Fresh":
        return json({ data: { freshness } });
      case "People":
        return json({ data: { people: ["ahmed", "paula", "sven"] } });
      case "Tallies":
        return json({ data: { tally: this.#tally() } });
      case "Tickets":
        return json({ data: { tickets: this.#page(variables) } });
      case "Ticket":
        return json({
          data: { ticket: this.tickets.find((one) => one.summary.number === variables.number) ?? null },
        });
      case "Branches":
        return json({ data: { branches: { asOf: iso(Date.now()), branches: this.branches } } });
      case "Trail":
        return json({ data: { trail: TRAIL } });
      default:
        return json({ errors: [{ message: "what?" }] });
    }
  }

  #page(variables: Given) {
    const states = variables.states as string[] | undefined;
    const search = String(variables.search ?? "").toLowerCase();
    const found = this.tickets
      .map((one) => one.summary)
      .filter((one) => !states || states.includes(one.state))
      .filter((one) => !variables.unassigned || one.assignee === null)
      .filter((one) => !variables.assignee || one.assignee === variables.assignee)
      .filter((one) => !variables.branches || (variables.branches as string[]).includes(one.branch))
      .filter((one) => `${one.number} ${one.subject} ${one.reporter}`.toLowerCase().includes(search))
      .filter((one) => variables.due !== "OVERDUE" || (one.service?.dueAt ?? "9") < iso(Date.now()))
      .sort((a, b) =>
        variables.order === "DUE"
          ? String(a.service?.dueAt).localeCompare(String(b.service?.dueAt))
          : b.receivedAt.localeCompare(a.receivedAt),
      );
    const from = variables.after ? found.findIndex((one) => one.number === variables.after) + 1 : 0;
    const tickets = found.slice(from, from + Number(variables.first ?? 50));
    const more = found.length > from + tickets.length;
    return { tickets, next: more ? (tickets.at(-1)?.number ?? null) : null };
  }

  #tally() {
    const counts = new Map<string, { branch: string; state: string; tickets: number }>();
    for (const { summary } of this.tickets) {
      const key = `${summary.branch} ${summary.state}`;
      const one = counts.get(key) ?? { branch: summary.branch, state: summary.state, tickets: 0 };
      counts.set(key, { ...one, tickets: one.tickets + 1 });
    }
    return [...counts.values()];
  }

  #rest(method: string, path: string, body: Given): Response {
    if (path === "session" && method === "POST") {
      if (body.password !== this.password) return problem({ status: 401, type: "sign-in-failed" });
      if (this.mustChange) return problem({ status: 403, type: "password-change-needed" });
      this.signedIn = true;
      return new Response(null, { status: 204 });
    }
    if (path === "session" && method === "DELETE") {
      this.signedIn = false;
      return new Response(null, { status: 204 });
    }
    if (path === "password") {
      this.password = String(body.new_password);
      this.mustChange = false;
      return new Response(null, { status: 204 });
    }
    if (path === "catalogue" && method === "GET") return json(this.catalogue);
    if (this.failing) return problem(this.failing);
    const command = /^tickets\/([^/]+)\/commands$/.exec(path);
    if (command) return this.#command(decodeURIComponent(command[1] ?? ""), body);
    const asked = /^files\/([^/]+)\/state$/.exec(path);
    if (asked) {
      const verdict = this.verdicts.get(asked[1] ?? "");
      return verdict ? json({ id: asked[1], ...verdict }) : problem({ status: 404, type: "not-found" });
    }
    if (method === "POST" && path.endsWith("/tokens"))
      return json({ token: "branchline-1.eyJob3N0Ijoic3VwcG9ydC5leGFtcGxlLm9yZyJ9.Zk3mUo2vQxw9r7yT" });
    if (method === "POST" && path.startsWith("operators"))
      return json({ password: "lamp-river-quiet-stone" });
    if (method === "POST" && path === "api-tokens")
      return json({ token: "bla_7Q2mZk3mUo2vQxw9r7yTZk3mUo2vQxw9r7yT" });
    if (method === "GET" && path === "enrolment-tokens") return json(TOKENS);
    if (method === "GET" && path === "operators") return json(OPERATORS);
    if (method === "GET" && path === "api-tokens") return json(API_TOKENS);
    if (path === "catalogue") {
      if (body.serial !== this.catalogue.serial)
        return problem({ status: 409, type: "stale", version: Number(this.catalogue.serial) });
      this.catalogue = { ...body, serial: Number(body.serial) + 1 };
      return json({ serial: this.catalogue.serial });
    }
    return new Response(null, { status: 204 });
  }

  #command(number: string, body: Given): Response {
    const ticket = this.tickets.find((one) => one.summary.number === number);
    if (!ticket) return problem({ status: 404, type: "not-found" });
    if (body.saw !== ticket.summary.version)
      return problem({ status: 409, type: "stale", version: ticket.summary.version });
    this.commands.push(body);
    if (body.kind === "reply") this.say(ticket, { kind: "REPLY", said: String(body.text) });
    else if (body.kind === "note") this.say(ticket, { kind: "NOTE", said: String(body.text) });
    else if (body.kind === "assign") {
      ticket.summary = { ...ticket.summary, assignee: (body.to as string | null) ?? null };
      this.say(ticket, { kind: "ASSIGNED", said: String(body.to ?? "") });
    } else this.say(ticket, { kind: "MOVED", said: String(body.to ?? "") });
    return json({ version: ticket.summary.version });
  }
}

/** A file on its way up: an XMLHttpRequest as far as the console uses one, which the test moves. */
export class MockUpload {
  readonly upload: { onprogress: ((event: { loaded: number; total: number }) => void) | null } = {
    onprogress: null,
  };
  onload: (() => void) | null = null;
  onerror: (() => void) | null = null;
  onabort: (() => void) | null = null;
  ontimeout: (() => void) | null = null;
  timeout = 0;
  status = 0;
  responseText = "";
  address = "";
  stopped = false;
  readonly headers: Record<string, string> = {};
  readonly #desk: MockDesk;

  constructor(desk: MockDesk) {
    this.#desk = desk;
  }

  open(_method: string, address: string): void {
    this.address = address;
  }

  setRequestHeader(name: string, value: string): void {
    this.headers[name] = value;
  }

  getResponseHeader(name: string): string | null {
    return name === "content-type" ? "application/problem+json" : null;
  }

  send(): void {
    this.#desk.uploads.push(this);
  }

  abort(): void {
    this.stopped = true;
    this.onabort?.();
  }

  went(part: number): void {
    this.upload.onprogress?.({ loaded: part * 100, total: 100 });
  }

  taken(id: string, name: string): void {
    this.answer(201, { id, name, size: 1, state: "received" });
  }

  answer(status: number, said: unknown): void {
    this.status = status;
    this.responseText = JSON.stringify(said);
    this.onload?.();
  }
}

/** The other end of a live connection. */
export class MockSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readonly #desk: MockDesk;

  constructor(desk: MockDesk) {
    this.#desk = desk;
    queueMicrotask(() => this.onopen?.());
  }

  send(text: string): void {
    const message = JSON.parse(text) as { type: string; payload?: { variables?: { after?: number } } };
    if (message.type === "connection_init") this.hear({ type: "connection_ack" });
    if (message.type === "ping") this.hear({ type: "pong" });
    if (message.type === "subscribe") {
      this.#desk.subscribedAfter.push(message.payload?.variables?.after ?? 0);
      this.#desk.sockets.add(this);
    }
  }

  change(position: number, ticket: MockTicket): void {
    const { summary } = ticket;
    const change = {
      position,
      branch: summary.branch,
      kind: "ticket",
      number: summary.number,
      ticket: summary,
    };
    this.hear({ id: "1", type: "next", payload: { data: { changes: change } } });
  }

  hear(message: unknown): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  close(): void {
    this.#desk.sockets.delete(this);
  }

  /** The network goes away. */
  cut(code = 1006): void {
    this.#desk.sockets.delete(this);
    this.onclose?.({ code });
  }
}

const json = (value: unknown) =>
  new Response(JSON.stringify(value), { status: 200, headers: { "Content-Type": "application/json" } });

export function problem(said: Problem): Response {
  const document = {
    title: said.type,
    request_id: "r-1",
    ...said,
    type: `urn:branchline:problem:${said.type}`,
  };
  return new Response(JSON.stringify(document), {
    status: said.status,
    headers: { "Content-Type": "application/problem+json" },
  });
}

export function agent(given: Partial<Agent>): Agent {
  return {
    id: "0190c3e2-7a51-7c1e-9a53-4f0d6c2b1a77",
    ordinal: 1,
    version: "0.1.0",
    lastContact: iso(Date.now() - 20_000),
    connected: true,
    clockSkewMs: 120,
    waiting: 0,
    oldestWaiting: null,
    diskFree: 84_000_000_000,
    damaged: 0,
    certificateUntil: iso(Date.now() + 71 * 86_400_000),
    revoked: false,
    refusedAt: null,
    refusedWhy: null,
    troubles: [],
    ...given,
  };
}

const day = (n: number) => iso(Date.now() + n * 86_400_000);
const TOKENS = [
  { number: 3, branch: "LYN", uses: 1, used: 0, state: "good", made_at: day(-1), expires_at: day(2) },
  { number: 2, branch: "BER", uses: 5, used: 5, state: "used", made_at: day(-9), expires_at: day(20) },
  { number: 1, branch: "OSL", uses: 1, used: 0, state: "revoked", made_at: day(-40), expires_at: day(-33) },
];
const OPERATORS = [
  { name: "ahmed", role: "support", added_at: day(-200), signed_in_at: day(-0.2) },
  { name: "paula", role: "administrator", added_at: day(-400), signed_in_at: day(-0.01) },
  { name: "sven", role: "viewer", added_at: day(-20), signed_in_at: null },
];
const API_TOKENS = [
  {
    number: 1,
    name: "Monitoring",
    rights: ["read"],
    state: "good",
    made_at: day(-80),
    expires_at: day(10),
    used_at: day(-0.001),
  },
  {
    number: 2,
    name: "Old importer",
    rights: ["read", "reply"],
    state: "revoked",
    made_at: day(-300),
    expires_at: null,
    used_at: day(-200),
  },
];
const TRAIL = [
  {
    position: 1,
    at: day(-400),
    actor: "command-line:root",
    action: "central-initialised",
    subject: "support.example.org",
    detail: "",
    address: null,
  },
  {
    position: 2,
    at: day(-400),
    actor: "command-line:root",
    action: "operator-added",
    subject: "paula",
    detail: "administrator",
    address: null,
  },
  {
    position: 3,
    at: day(-30),
    actor: "operator:paula",
    action: "enrolment-token-made",
    subject: "LYN",
    detail: "1 use(s), for 4320 minutes",
    address: "10.2.0.14",
  },
  {
    position: 4,
    at: day(-30),
    actor: "bearer:192.0.2.10",
    action: "agent-enrolled",
    subject: "0190c3e2-7a51-7c1e-9a53-4f0d6c2b1a77",
    detail: "LYN, agent 1",
    address: "192.0.2.10",
  },
];
