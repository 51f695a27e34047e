// The inbox's tickets, kept while a ticket is open so that one comes back to the same place.
//
// What is shown is never moved: a ticket that changes is changed where it stands, and tickets that arrive
// wait above the list until somebody asks for them.
import { ask } from "../../api/call.ts";
import { asFault, type Fault } from "../../api/fault.ts";
import type { Summary } from "../../api/generated.ts";
import type { Change } from "../../api/live.ts";
import { belongs, type Filters, queryOf, variablesOf } from "./filters.ts";

const PAGE = 50;
/** Tickets that are kept in the page; past that one searches. */
const MOST_ROWS = 2_000;
/** Arrivals that are counted one by one. */
const MOST_ARRIVED = 500;

export interface InboxView {
  filters: Filters | null;
  rows: readonly Summary[];
  next: string | null;
  loading: "first" | "more" | null;
  fault: Fault | null;
  /** Arrived since, newest first; not in `rows`. */
  arrived: readonly Summary[];
  /** The search may have other results by now. */
  searchStale: boolean;
  /** Where the reader is. */
  current: string | null;
}

export class InboxStore {
  readonly #me: string;
  #view: InboxView = {
    filters: null,
    rows: [],
    next: null,
    loading: null,
    fault: null,
    arrived: [],
    searchStale: false,
    current: null,
  };
  readonly #listeners = new Set<() => void>();
  /** The answer that is waited for; older ones are not wanted any more. */
  #asked = 0;

  constructor(me: string) {
    this.#me = me;
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  readonly view = (): InboxView => this.#view;

  /** Shows these; keeps what is there where they are the ones that are shown. */
  async show(filters: Filters): Promise<void> {
    const shown = this.#view.filters;
    if (shown && queryOf(shown).toString() === queryOf(filters).toString() && !this.#view.fault) return;
    this.#set({ filters, rows: [], next: null, current: null });
    await this.refresh();
  }

  /** The first page anew, and with it what arrived. */
  async refresh(): Promise<void> {
    await this.#load("first", null);
  }

  async more(): Promise<void> {
    if (this.#view.next && !this.#view.loading) await this.#load("more", this.#view.next);
  }

  mark(number: string | null): void {
    if (number !== this.#view.current) this.#set({ current: number });
  }

  /** The ticket beside the current one. */
  beside(number: string, by: 1 | -1): Summary | undefined {
    const place = this.#view.rows.findIndex((row) => row.number === number);
    return place < 0 ? undefined : this.#view.rows[place + by];
  }

  /** Something happened at central; `null`: something may have been missed. */
  changed(change: Change | null): void {
    const { filters, rows, arrived } = this.#view;
    if (!filters) return;
    if (!change) {
      void this.#catchUp();
      return;
    }
    const ticket = change.ticket;
    if (!ticket) return;
    if (rows.some((row) => row.number === ticket.number)) {
      this.#set({ rows: rows.map((row) => newer(row, ticket)) });
      return;
    }
    if (filters.search.trim()) {
      this.#set({ searchStale: true });
      return;
    }
    const others = arrived.filter((row) => row.number !== ticket.number);
    const wanted = belongs(ticket, filters, this.#me) && this.#isNews(ticket);
    const next = wanted ? [ticket, ...others].slice(0, MOST_ARRIVED) : others;
    if (wanted || others.length !== arrived.length) this.#set({ arrived: next });
  }

  /** Older tickets that are not on a loaded page are not news: they come with their page. */
  #isNews(ticket: Summary): boolean {
    const last = this.#view.rows.at(-1);
    if (this.#view.filters?.due && last?.service?.dueAt && ticket.service?.dueAt)
      return !this.#view.next || ticket.service.dueAt <= last.service.dueAt;
    return !this.#view.next || !last || ticket.receivedAt >= last.receivedAt;
  }

  /** What was missed: looked for behind what is shown, without moving it. */
  async #catchUp(): Promise<void> {
    const { filters } = this.#view;
    if (!filters) return;
    const asked = this.#asked;
    try {
      const { tickets } = await ask("Tickets", { ...variablesOf(filters, this.#me), first: PAGE });
      if (asked !== this.#asked) return;
      const known = new Map(tickets.tickets.map((ticket) => [ticket.number, ticket]));
      const rows = this.#view.rows.map((row) => newer(row, known.get(row.number) ?? row));
      const shown = new Set(rows.map((row) => row.number));
      const arrived = tickets.tickets.filter((ticket) => !shown.has(ticket.number) && this.#isNews(ticket));
      this.#set({ rows, arrived });
    } catch {
      // The next change, or the reader, asks again.
    }
  }

  async #load(which: "first" | "more", after: string | null): Promise<void> {
    const { filters } = this.#view;
    if (!filters) return;
    this.#asked += 1;
    const asked = this.#asked;
    // What arrives while the answer is on its way may not be in it.
    this.#set({ loading: which, fault: null, ...(which === "first" ? { arrived: [] } : {}) });
    try {
      const asking = { ...variablesOf(filters, this.#me), first: PAGE, ...(after ? { after } : {}) };
      const { tickets } = await ask("Tickets", asking);
      if (asked !== this.#asked) return;
      const before = which === "more" ? this.#view.rows : [];
      const known = new Set(before.map((row) => row.number));
      const rows = [...before, ...tickets.tickets.filter((row) => !known.has(row.number))].slice(
        0,
        MOST_ROWS,
      );
      const next = rows.length < MOST_ROWS ? tickets.next : null;
      const shown = new Set(rows.map((row) => row.number));
      const arrived = this.#view.arrived.filter((ticket) => !shown.has(ticket.number));
      this.#set({ rows, next, loading: null, arrived, ...(which === "first" ? { searchStale: false } : {}) });
    } catch (thrown) {
      if (asked === this.#asked) this.#set({ loading: null, fault: asFault(thrown) });
    }
  }

  #set(change: Partial<InboxView>): void {
    this.#view = { ...this.#view, ...change };
    for (const listener of this.#listeners) listener();
  }
}

function newer(row: Summary, other: Summary): Summary {
  return other.number === row.number && other.version >= row.version ? other : row;
}
