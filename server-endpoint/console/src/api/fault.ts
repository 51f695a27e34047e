// Why central did not do what it was asked: problem documents (RFC 9457), silence, and answers of others.

/** Who must act. */
export type FaultKind = "try_again" | "fix_input" | "call_it";

const isKind = (word: unknown): word is FaultKind =>
  word === "try_again" || word === "fix_input" || word === "call_it";

export class Fault extends Error {
  /** The HTTP status; 0 where nobody answered. */
  readonly status: number;
  /** The last part of the problem's type: a stable word. */
  readonly type: string;
  readonly detail: string;
  readonly kind: FaultKind;
  /** What the ticket, or the catalogue, is at now: with 409. */
  readonly version: number | undefined;
  /** Seconds. */
  readonly retryAfter: number | undefined;
  /** For whoever reads the server's log. */
  readonly requestId: string | undefined;

  constructor(said: {
    status: number;
    type?: string;
    detail?: string;
    kind?: FaultKind;
    version?: number | undefined;
    retryAfter?: number | undefined;
    requestId?: string | undefined;
  }) {
    super(said.detail ?? said.type ?? `HTTP ${said.status}`);
    this.name = "Fault";
    this.status = said.status;
    this.type = said.type ?? "";
    this.detail = said.detail ?? "";
    this.kind = said.kind ?? (said.status === 0 || said.status >= 500 ? "try_again" : "fix_input");
    this.version = said.version;
    this.retryAfter = said.retryAfter;
    this.requestId = said.requestId;
  }
}

/** Whatever was thrown, as a fault. */
export function asFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  return new Fault({ status: 0, type: "no-answer", detail: thrown instanceof Error ? thrown.message : "" });
}

const record = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** Reads what an answer that is no success says. Never throws: a proxy's page is a fault, too. */
export async function faultOf(answer: Response): Promise<Fault> {
  let said: Record<string, unknown> = {};
  try {
    if (answer.headers.get("content-type")?.includes("json")) said = record(await answer.json());
  } catch {
    // Not a problem document after all.
  }
  const seconds = Number(answer.headers.get("retry-after") ?? Number.NaN);
  return new Fault({
    status: answer.status,
    type: text(said.type)?.split(/[/:]/).at(-1) ?? "",
    detail: text(said.detail) ?? text(said.title) ?? "",
    ...(isKind(said.class) ? { kind: said.class } : {}),
    version: typeof said.version === "number" ? said.version : undefined,
    retryAfter: Number.isFinite(seconds) ? seconds : undefined,
    requestId: text(said.request_id) ?? answer.headers.get("x-request-id") ?? undefined,
  });
}

/** What a GraphQL answer with `errors` says. */
export function faultOfErrors(errors: unknown, status: number): Fault {
  const first = record(Array.isArray(errors) ? errors[0] : undefined);
  const more = record(first.extensions);
  return new Fault({
    status: typeof more.status === "number" ? more.status : status >= 400 ? status : 500,
    type: text(more.type) ?? text(more.code) ?? "query",
    detail: text(first.message) ?? "",
    ...(isKind(more.class) ? { kind: more.class } : {}),
    requestId: text(more.request_id),
  });
}
