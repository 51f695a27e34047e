// What happened, in order: the filing first. What people wrote stands as they wrote it, as text and nothing
// else; a note looks different from anything that a branch can see.
import { Icon, Mark } from "@branchline/look";
import type { ReactNode } from "react";
import type { Entry, TicketState } from "../../api/generated.ts";
import { When } from "../../parts/marks.tsx";
import type { Words } from "../../words/en.ts";
import { useSpeech } from "../../words/index.tsx";
import { Files } from "./files.tsx";
import type { TicketView } from "./use-ticket.ts";

const MOST_SHOWN = 1_000;

export function Timeline({ ticket, seen }: { ticket: TicketView; seen: number }) {
  const { w, when } = useSpeech();
  const { summary } = ticket;
  // A file stands where it came; what no entry names stands with the filing.
  const named = new Set(ticket.timeline.flatMap((entry) => entry.files.map((file) => file.id)));
  const filed = ticket.files.filter((file) => !named.has(file.id));
  return (
    <section aria-labelledby="timeline-title">
      <h2 id="timeline-title" className="unseen">
        {w.ticket.timeline}
      </h2>
      <ol className="timeline">
        <li className="said filed">
          <p className="by">
            <strong>{summary.reporter}</strong>{" "}
            <span className="soft">{w.ticket.description.toLowerCase()}</span>
            <When at={summary.receivedAt} />
          </p>
          <Text>{ticket.description}</Text>
          {filed.length > 0 && <Files files={filed} />}
          {apart(summary.filedAt, summary.receivedAt) && (
            <p className="soft small">{w.ticket.saidAt(when(summary.filedAt))}</p>
          )}
        </li>
        {ticket.timeline.length >= MOST_SHOWN && <li className="soft small">{w.ticket.older}</li>}
        {ticket.timeline.map((entry) => (
          <TimelineItem key={`${entry.position}-${entry.kind}`} entry={entry} fresh={entry.position > seen} />
        ))}
      </ol>
    </section>
  );
}

/** The branch's time is worth a line where central heard of it late, or the branch's clock is wrong. */
const APART_MS = 120_000;
const apart = (said: string, heard: string) => !(Math.abs(Date.parse(said) - Date.parse(heard)) < APART_MS);

const SAID: ReadonlySet<Entry["kind"]> = new Set(["COMMENT", "REPLY", "NOTE", "WITHDRAWN"]);

function TimelineItem({ entry, fresh }: { entry: Entry; fresh: boolean }) {
  const { w, when } = useSpeech();
  const id = `entry-${entry.position}`;
  const isNew = fresh && <Mark tone="calm">{w.ticket.newHere}</Mark>;
  if (!SAID.has(entry.kind)) {
    return (
      <li className="deed" id={id} tabIndex={-1}>
        <span>
          <strong>{entry.who}</strong> {entryWords(w, entry)}
        </span>
        {isNew}
        <When at={entry.at} />
        {entry.files.length > 0 && <Files files={entry.files} />}
      </li>
    );
  }
  return (
    <li className={`said ${entry.kind.toLowerCase()}`} id={id} tabIndex={-1}>
      {entry.kind === "NOTE" && (
        <p className="note-mark">
          <Icon name="lock" />
          {w.ticket.noteMark}
        </p>
      )}
      <p className="by">
        <strong>{entry.who}</strong> <span className="soft">{w.ticket.entry[entry.kind]}</span>
        {isNew}
        <When at={entry.at} />
      </p>
      <Text>{entry.said}</Text>
      {entry.files.length > 0 && <Files files={entry.files} />}
      {entry.saidAt && apart(entry.saidAt, entry.at) && (
        <p className="soft small">{w.ticket.saidAt(when(entry.saidAt))}</p>
      )}
    </li>
  );
}

/** What an entry says in one line. */
export function entryWords(w: Words, entry: Pick<Entry, "kind" | "said">): string {
  const said = entry.said.trim();
  switch (entry.kind) {
    case "MOVED":
      return w.ticket.movedTo(stateWord(w, said));
    case "ASSIGNED":
      return said ? w.ticket.assignedTo(said) : w.ticket.assignedNobody;
    case "CLASSIFIED":
    case "TAGGED":
    case "MERGED":
    case "FILE":
      return said ? `${w.ticket.entry[entry.kind]}: ${said}` : w.ticket.entry[entry.kind];
    default:
      return w.ticket.entry[entry.kind] ?? entry.kind;
  }
}

function stateWord(w: Words, said: string): string {
  const state = said.toUpperCase();
  return Object.hasOwn(w.state, state) ? w.state[state as TicketState] : said;
}

function Text({ children }: { children: ReactNode }) {
  return (
    <p className="text" dir="auto">
      {children}
    </p>
  );
}
