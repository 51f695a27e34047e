// Which of a ticket's service goals is next, and whether it was missed or will be soon.
import type { Due, Summary } from "../../api/generated.ts";

/** As the server counts it. */
const SOON_MS = 4 * 3_600_000;

export interface NextDue {
  goal: "firstAnswer" | "resolution";
  at: string;
  /** `null`: there is time. */
  urgency: Due | null;
}

export function nextDue(ticket: Summary, now: number): NextDue | null {
  const service = ticket.service;
  if (!service?.dueAt) return null;
  const answer = [service.firstAnswerDue, service.firstAnswerDueFromFiling].includes(service.dueAt);
  const left = Date.parse(service.dueAt) - now;
  return {
    goal: answer && !service.firstAnsweredAt ? "firstAnswer" : "resolution",
    at: service.dueAt,
    urgency: left < 0 ? "OVERDUE" : left < SOON_MS ? "SOON" : null,
  };
}
