// Which tickets an inbox shows: read from the address, asked of the server, and decided here for tickets that
// arrive live.
import type { Due, Priority, Summary, TicketState, TicketsVariables } from "../../api/generated.ts";

import { nextDue } from "./due.ts";

export const VIEWS = ["todo", "mine", "unassigned", "new", "waiting", "resolved", "all"] as const;
export type View = (typeof VIEWS)[number];

export const STATES: readonly TicketState[] = [
  "NEW",
  "OPEN",
  "WAITING",
  "RESOLVED",
  "CLOSED",
  "WITHDRAWN",
  "MERGED",
];
export const DUES: readonly Due[] = ["OVERDUE", "SOON"];
export const PRIORITIES: readonly Priority[] = ["URGENT", "HIGH", "NORMAL", "LOW"];

export interface Filters {
  view: View;
  search: string;
  branch: string;
  /** Overrules the view's states. */
  state: TicketState | "";
  priority: Priority | "";
  assignee: string;
  category: string;
  tag: string;
  /** By what is due, which comes first then. */
  due: Due | "";
}

const UNFINISHED: TicketState[] = ["NEW", "OPEN", "WAITING"];
const STATES_OF: Record<View, TicketState[]> = {
  todo: ["NEW", "OPEN"],
  mine: UNFINISHED,
  unassigned: UNFINISHED,
  new: ["NEW"],
  waiting: ["WAITING"],
  resolved: ["RESOLVED"],
  all: [],
};

const among = <T extends string>(all: readonly T[], value: string | null): T | "" =>
  all.find((one) => one === value) ?? "";

export function filtersOf(query: URLSearchParams): Filters {
  const text = (name: string) => query.get(name)?.slice(0, 200) ?? "";
  return {
    view: among(VIEWS, query.get("view")) || "todo",
    search: text("q"),
    branch: text("branch"),
    state: among(STATES, query.get("state")),
    priority: among(PRIORITIES, query.get("priority")),
    assignee: text("assignee"),
    category: text("category"),
    tag: text("tag"),
    due: among(DUES, query.get("due")),
  };
}

export function queryOf(filters: Filters): URLSearchParams {
  const query = new URLSearchParams();
  const { search, ...rest } = filters;
  for (const [name, value] of Object.entries({ ...rest, q: search })) if (value) query.set(name, value);
  if (filters.view === "todo") query.delete("view");
  return query;
}

export function statesOf(filters: Filters): TicketState[] {
  return filters.state ? [filters.state] : STATES_OF[filters.view];
}

/** Whose tickets: everybody's where `undefined`, nobody's where `null`. */
function assigneeOf(filters: Filters, me: string): string | null | undefined {
  if (filters.view === "mine") return me;
  if (filters.view === "unassigned") return null;
  return filters.assignee || undefined;
}

export function variablesOf(filters: Filters, me: string): TicketsVariables {
  const assignee = assigneeOf(filters, me);
  const states = statesOf(filters);
  return {
    ...(filters.search.trim() ? { search: filters.search.trim() } : {}),
    ...(filters.branch ? { branches: [filters.branch] } : {}),
    ...(states.length > 0 ? { states } : {}),
    ...(filters.priority ? { priorities: [filters.priority] } : {}),
    ...(filters.category ? { categories: [filters.category] } : {}),
    ...(filters.tag ? { tags: [filters.tag] } : {}),
    ...(filters.due ? { due: filters.due, order: "DUE" } : {}),
    ...(assignee === null ? { unassigned: true } : assignee ? { assignee } : {}),
  };
}

/** Whether a ticket belongs into the view; words that are searched for are the server's to judge. */
export function belongs(ticket: Summary, filters: Filters, me: string, now = Date.now()): boolean {
  const states = statesOf(filters);
  const assignee = assigneeOf(filters, me);
  return (
    (states.length === 0 || states.includes(ticket.state)) &&
    (!filters.branch || ticket.branch === filters.branch) &&
    (!filters.priority || ticket.priority === filters.priority) &&
    (!filters.category || ticket.category === filters.category) &&
    (!filters.tag || ticket.tags.includes(filters.tag)) &&
    (!filters.due || nextDue(ticket, now)?.urgency === filters.due) &&
    (assignee === undefined || ticket.assignee === assignee)
  );
}
