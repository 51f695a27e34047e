// Which of a ticket's service goals is next, and whether it was missed.
import type { Summary } from "../../api/generated.ts";

export interface Due {
  goal: "firstAnswer" | "resolution";
  at: string;
  late: boolean;
}

export function nextDue(ticket: Summary, now: number): Due | null {
  const service = ticket.service;
  if (!service || ["CLOSED", "RESOLVED", "WITHDRAWN", "MERGED"].includes(ticket.state)) return null;
  const open: Array<[Due["goal"], string | null, string | null]> = [
    ["firstAnswer", service.firstAnswerDue, service.firstAnsweredAt],
    ["resolution", service.resolutionDue, service.resolvedAt],
  ];
  for (const [goal, at, done] of open) if (at && !done) return { goal, at, late: Date.parse(at) < now };
  return null;
}
