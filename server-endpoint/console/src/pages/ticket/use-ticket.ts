// One ticket, as it is at central, and what is done to it. A command carries the version that was shown; what
// it changed shows as soon as the read model has it.
import { useCallback, useEffect, useRef, useState } from "react";
import { ask, part, rest } from "../../api/call.ts";
import { asFault, type Fault } from "../../api/fault.ts";
import type { TicketAnswer } from "../../api/generated.ts";
import { useChanges } from "../../desk.tsx";

export type TicketView = NonNullable<TicketAnswer["ticket"]>;

export type TicketCommand =
  | { kind: "reply"; text: string; files: string[]; then?: "waiting" | "resolved" }
  | { kind: "note"; text: string }
  | { kind: "move"; to: string }
  | { kind: "assign"; to: string | null }
  | { kind: "classify"; priority: string; category: string }
  | { kind: "tag"; tags: string[] }
  | { kind: "merge"; into: string };

/** Done, or why not; `stale`: what was seen when the command was given. */
export type Outcome = { done: true } | { done: false; fault: Fault; saw: number };

export interface TicketDesk {
  ticket: TicketView | null;
  missing: boolean;
  fault: Fault | null;
  /** A command is on its way. */
  busy: boolean;
  /** Something was done that does not show yet. */
  lagging: boolean;
  reload(): Promise<void>;
  command(command: TicketCommand): Promise<Outcome>;
}

/** How long what was done may take to show, before it is looked for less eagerly. */
const LAG_LOOKS_MS = [100, 200, 400, 800, 1_600, 3_000, 5_000];

export function useTicket(number: string): TicketDesk {
  const [ticket, setTicket] = useState<TicketView | null>(null);
  const [missing, setMissing] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const [busy, setBusy] = useState(false);
  const [reached, setReached] = useState(0);
  const asking = useRef<AbortController | null>(null);
  const shown = useRef<TicketView | null>(null);
  const done = useRef(0);
  /** A command that nobody answered: asking again under its id does it once. */
  const unanswered = useRef<{ text: string; id: string } | null>(null);

  const reload = useCallback(async () => {
    asking.current?.abort();
    const mine = new AbortController();
    asking.current = mine;
    try {
      const answer = await ask("Ticket", { number }, mine.signal);
      if (mine.signal.aborted) return;
      shown.current = answer.ticket;
      setTicket(answer.ticket);
      setMissing(!answer.ticket);
      setFault(null);
    } catch (thrown) {
      if (!mine.signal.aborted) setFault(asFault(thrown));
    }
  }, [number]);

  useEffect(() => {
    void reload();
    return () => asking.current?.abort();
  }, [reload]);

  const soon = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(soon.current), []);
  useChanges((change) => {
    // What happens to files has no ticket in it; it is rare enough to look.
    if (change && change.number !== number && change.ticket?.number !== number) return;
    clearTimeout(soon.current);
    soon.current = setTimeout(() => void reload(), 100);
  });

  const catchUp = useCallback(async () => {
    for (const pause of LAG_LOOKS_MS) {
      if ((shown.current?.summary.version ?? 0) >= done.current) return;
      await new Promise((resume) => setTimeout(resume, pause));
      await reload();
    }
  }, [reload]);

  const command = useCallback(
    async (command: TicketCommand): Promise<Outcome> => {
      const saw = Math.max(shown.current?.summary.version ?? 0, done.current);
      const text = JSON.stringify({ saw, ...command });
      const id = unanswered.current?.text === text ? unanswered.current.id : crypto.randomUUID();
      setBusy(true);
      try {
        unanswered.current = { text, id };
        const answer = await rest<{ version: number }>("POST", `tickets/${part(number)}/commands`, {
          id,
          saw,
          ...command,
        });
        unanswered.current = null;
        done.current = Math.max(done.current, answer.version);
        setReached(done.current);
        await reload();
        void catchUp();
        return { done: true };
      } catch (thrown) {
        const fault = asFault(thrown);
        if (fault.status > 0 && fault.status < 500) unanswered.current = null;
        if (fault.status === 409) await reload();
        return { done: false, fault, saw };
      } finally {
        setBusy(false);
      }
    },
    [number, reload, catchUp],
  );
  const lagging = reached > (ticket?.summary.version ?? 0) && ticket !== null;
  return { ticket, missing, fault, busy, lagging, reload, command };
}
