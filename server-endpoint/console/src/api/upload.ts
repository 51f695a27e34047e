// A file on its way up. The one place that does not use `fetch`, which cannot say how far a body has come.
import { asFault, Fault, faultOf } from "./fault.ts";

const ADDRESS = "/desk/v1/files";
/** As long as central takes one. */
const PATIENCE_MS = 30 * 60_000;

/** A file as central has it. */
export interface Given {
  id: string;
  /** As the branch will see it. */
  name: string;
  state: string;
  detail?: string;
}

export interface Upload {
  done: Promise<Given>;
  /** Nothing is kept of what is stopped on its way. */
  stop(): void;
}

/** Gives central a file for a reply to this ticket; `went` hears the part that went, from 0 to 1. */
export function upload(ticket: string, file: File, went: (part: number) => void): Upload {
  const request = new XMLHttpRequest();
  const done = new Promise<Given>((resolve, reject) => {
    const fail = (type: string) => () => reject(new Fault({ status: 0, type }));
    request.upload.onprogress = (event) => went(event.total > 0 ? event.loaded / event.total : 1);
    request.onerror = fail("no-answer");
    request.ontimeout = fail("no-answer");
    request.onabort = fail("stopped");
    request.onload = () => void answered(request).then(resolve, (thrown) => reject(asFault(thrown)));
  });
  const asked = new URLSearchParams({ ticket, name: file.name });
  request.open("POST", `${ADDRESS}?${asked}`);
  request.timeout = PATIENCE_MS;
  request.setRequestHeader("Branchline-Console", "1");
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("Content-Type", "application/octet-stream");
  request.send(file);
  return { done, stop: () => request.abort() };
}

async function answered(request: XMLHttpRequest): Promise<Given> {
  if (request.status === 201) return JSON.parse(request.responseText) as Given;
  const headers = new Headers();
  for (const name of ["content-type", "retry-after", "x-request-id"]) {
    const value = request.getResponseHeader(name);
    if (value) headers.set(name, value);
  }
  throw await faultOf(new Response(request.responseText, { status: request.status, headers }));
}
