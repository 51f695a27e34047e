// What a person reads when central did not do what it was asked: what it means, and what to do.
import type { Fault } from "../api/fault.ts";
import type { Words } from "../words/en.ts";

export function faultWords(w: Words, fault: Fault): string {
  const words = meaning(w, fault);
  return fault.requestId && (fault.kind === "call_it" || fault.status >= 500)
    ? `${words} (${w.common.requestId(fault.requestId)})`
    : words;
}

function meaning(w: Words, fault: Fault): string {
  switch (fault.status) {
    case 0:
    case 502:
    case 504:
      return w.fault.noAnswer;
    case 401:
      return w.fault.signedOut;
    case 403:
      return w.fault.forbidden;
    case 404:
      return w.fault.notFound;
    case 409:
      return fault.version === undefined ? w.fault.other(fault.detail) : w.fault.stale;
    case 429:
      return w.fault.tooMany;
    case 503:
      return fault.type === "busy" ? w.fault.tooMany : w.fault.ledgerAway;
    default:
      return fault.status >= 500 || fault.kind === "call_it" ? w.fault.callIt : w.fault.other(fault.detail);
  }
}
