// The place that calls the desk: REST for commands, GraphQL for questions; files go by `upload.ts`. Cookies carry the session;
// the header says that it is this page which asks, and no other site.
import { asFault, Fault, faultOf, faultOfErrors } from "./fault.ts";
import { documents, type Questions } from "./generated.ts";
import { isAbsent } from "./presence.ts";

const BASE = "/desk/v1/";
/** Nobody waits longer for an answer. */
const PATIENCE_MS = 30_000;

let whenSignedOut: () => void = () => {};

/** Called when central no longer knows the session. */
export function onSignedOut(then: () => void): void {
  whenSignedOut = then;
}

async function send(path: string, init: RequestInit): Promise<Response> {
  const limit = AbortSignal.timeout(PATIENCE_MS);
  const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit;
  let answer: Response;
  try {
    answer = await fetch(BASE + path, {
      ...init,
      signal,
      credentials: "same-origin",
      cache: "no-store",
      headers: {
        "Branchline-Console": "1",
        ...(isAbsent() ? { "Branchline-Idle": "1" } : {}),
        Accept: "application/json",
        ...init.headers,
      },
    });
  } catch (thrown) {
    throw asFault(thrown);
  }
  if (answer.ok) return answer;
  const fault = await faultOf(answer);
  if (fault.status === 401 && !path.startsWith("session") && path !== "password") whenSignedOut();
  throw fault;
}

/** A REST call; what it answers, or `undefined` where there is nothing to say. */
export async function rest<Answer = unknown>(
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
): Promise<Answer> {
  const init: RequestInit = { method };
  if (body !== undefined) {
    init.body = JSON.stringify(body);
    init.headers = { "Content-Type": "application/json" };
  }
  const answer = await send(path, init);
  const said = await answer.text();
  if (!said) return undefined as Answer;
  try {
    return JSON.parse(said) as Answer;
  } catch {
    throw new Fault({ status: 0, type: "no-answer", detail: "not JSON" });
  }
}

/** One of the questions in questions.graphql. */
export async function ask<Name extends keyof Questions>(
  name: Name,
  variables: Questions[Name]["variables"],
  signal?: AbortSignal,
): Promise<Questions[Name]["answer"]> {
  const init: RequestInit = {
    method: "POST",
    body: JSON.stringify({ operationName: name, query: documents[name], variables }),
    headers: { "Content-Type": "application/json" },
  };
  if (signal) init.signal = signal;
  const answer = await send("graphql", init);
  let said: { data?: unknown; errors?: unknown };
  try {
    said = (await answer.json()) as { data?: unknown; errors?: unknown };
  } catch (thrown) {
    throw asFault(thrown);
  }
  if (said.errors || !said.data) {
    const fault = faultOfErrors(said.errors, answer.status);
    if (fault.status === 401) whenSignedOut();
    throw fault;
  }
  return said.data as Questions[Name]["answer"];
}

/** Where a released file's bytes are. */
export function fileAddress(id: string): string {
  return `${BASE}files/${encodeURIComponent(id)}`;
}

/** A part of a path. */
export const part = encodeURIComponent;
