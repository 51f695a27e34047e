// What somebody writes: a reply to the branch, or a note for central alone, which looks different. The text is
// kept in this browser at every key, and is let go only when central has it.
import { Icon, Notice } from "@branchline/look";
import { type RefObject, useEffect, useId, useImperativeHandle, useRef, useState } from "react";
import type { Entry } from "../../api/generated.ts";
import { useDesk } from "../../desk.tsx";
import { type Draft, keepDraft, keptDraft } from "../../kept.ts";
import { faultWords } from "../../parts/fault-words.ts";
import { useSpeech } from "../../words/index.tsx";
import { AttachedList, useAttachments, useDropping } from "./attachments.tsx";
import { entryWords } from "./timeline.tsx";
import type { TicketDesk, TicketView } from "./use-ticket.ts";

/** As central counts. */
const TEXT_CHARS = 16_000;

type Mode = keyof Draft;

export interface ComposerHandle {
  write(mode: Mode): void;
}

interface Conflict {
  saw: number;
  again: () => void;
}

export function Composer(props: {
  number: string;
  page: TicketDesk;
  ticket: TicketView;
  seen: number;
  handle: RefObject<ComposerHandle | null>;
}) {
  const { w } = useSpeech();
  const desk = useDesk();
  const { number, page, ticket } = props;
  const [draft, setDraft] = useDraft(desk.me.name, number);
  const [mode, setMode] = useState<Mode>(draft.note && !draft.reply ? "note" : "reply");
  const [fault, setFault] = useState("");
  const [conflict, setConflict] = useState<Conflict | null>(null);
  const attachments = useAttachments(number);
  const dropping = useDropping(attachments, mode === "reply");
  const field = useRef<HTMLTextAreaElement>(null);
  const alert = useRef<HTMLDivElement>(null);
  const fieldId = useId();
  useImperativeHandle(props.handle, () => ({
    write: (wanted) => {
      setMode(wanted);
      field.current?.focus();
    },
  }));

  const { state } = ticket.summary;
  if (state === "MERGED" || state === "WITHDRAWN") {
    return <p className="quiet-line soft">{w.ticket.final[state]}</p>;
  }
  if (!desk.may("REPLY")) return <p className="quiet-line soft">{w.ticket.readOnly}</p>;

  const text = draft[mode];
  const excess = [...text.trim()].length - TEXT_CHARS;
  const stop = (why: string) => {
    setFault(why);
    field.current?.focus();
  };
  const send = async (then?: "waiting" | "resolved") => {
    if (page.busy) return;
    if (!text.trim()) return stop(w.ticket.empty);
    if (excess > 0) return stop(w.ticket.tooLong(excess));
    if (mode === "reply" && attachments.unready) return stop(w.ticket.waitFiles);
    setFault("");
    const outcome = await page.command(
      mode === "note"
        ? { kind: "note", text: text.trim() }
        : { kind: "reply", text: text.trim(), files: attachments.ids, ...(then ? { then } : {}) },
    );
    if (outcome.done) {
      setConflict(null);
      setDraft({ ...draft, [mode]: "" });
      if (mode === "reply") attachments.clear();
      desk.say(mode === "note" ? w.ticket.noted : w.ticket.sent);
      field.current?.focus();
    } else if (outcome.fault.status === 409 && outcome.fault.version !== undefined) {
      setConflict({ saw: outcome.saw, again: () => void send(then) });
      setTimeout(() => alert.current?.focus());
    } else {
      setConflict(null);
      setFault(faultWords(w, outcome.fault));
    }
  };
  const arrived = text
    ? ticket.timeline.filter((entry) => entry.position > props.seen && entry.who !== desk.me.name).at(-1)
    : undefined;

  return (
    <section className={`composer ${mode}`} aria-label={w.ticket.compose} {...dropping.handlers}>
      <fieldset className="modes">
        <legend className="unseen">{w.ticket.mode}</legend>
        {(["reply", "note"] as const).map((each) => (
          <label key={each} className={each === mode ? "chosen" : ""}>
            <input
              type="radio"
              name={`${fieldId}-mode`}
              checked={each === mode}
              onChange={() => setMode(each)}
            />
            <Icon name={each === "reply" ? "reply" : "lock"} />
            {each === "reply" ? w.ticket.replyMode : w.ticket.noteMode}
          </label>
        ))}
      </fieldset>
      {conflict && <ConflictNotice refer={alert} conflict={conflict} timeline={ticket.timeline} />}
      {!conflict && arrived && (
        <Notice
          tone="calm"
          icon="clock"
          action={
            <a className="small" href={`#entry-${arrived.position}`} onClick={showEntry(arrived)}>
              {w.ticket.goThere}
            </a>
          }
        >
          {w.ticket.arrivedWhile(`${arrived.who} ${entryWords(w, arrived)}`)}
        </Notice>
      )}
      <label htmlFor={fieldId} className="composer-label">
        {mode === "reply" ? w.ticket.replyLabel(ticket.summary.branch) : w.ticket.noteLabel}
      </label>
      <textarea
        id={fieldId}
        ref={field}
        rows={5}
        dir="auto"
        value={text}
        aria-invalid={fault ? true : undefined}
        aria-describedby={fault ? `${fieldId}-fault` : undefined}
        onChange={(event) => setDraft({ ...draft, [mode]: event.target.value })}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
            event.preventDefault();
            void send();
          }
        }}
      />
      {fault && (
        <p id={`${fieldId}-fault`} className="fault-line" role="alert">
          {fault}
        </p>
      )}
      {mode === "reply" && <AttachedList attachments={attachments} over={dropping.over} />}
      <div className="composer-foot">
        <span className="soft small">{text ? w.ticket.draftKept : ""}</span>
        <span className="actions">
          {mode === "note" ? (
            <SendButton primary busy={page.busy} onClick={() => void send()}>
              {w.ticket.sendNote}
            </SendButton>
          ) : (
            <>
              <SendButton busy={page.busy} onClick={() => void send("resolved")}>
                {w.ticket.sendResolve}
              </SendButton>
              <SendButton busy={page.busy} onClick={() => void send("waiting")}>
                {w.ticket.sendWait}
              </SendButton>
              <SendButton primary busy={page.busy} onClick={() => void send()}>
                {w.ticket.stay}
              </SendButton>
            </>
          )}
        </span>
      </div>
      {page.lagging && (
        <p className="soft small" role="status">
          {w.ticket.lag}
        </p>
      )}
    </section>
  );
}

function SendButton(props: { primary?: boolean; busy: boolean; onClick: () => void; children: string }) {
  return (
    <button
      type="button"
      className={props.primary ? "button primary" : "button"}
      aria-disabled={props.busy}
      onClick={props.onClick}
    >
      {props.children}
    </button>
  );
}

function showEntry(entry: Entry) {
  return (event: { preventDefault(): void }) => {
    event.preventDefault();
    const item = document.getElementById(`entry-${entry.position}`);
    item?.scrollIntoView({ block: "center" });
    item?.focus({ preventScroll: true });
  };
}

/** Somebody was faster: what changed, and what was written is still there. */
function ConflictNotice(props: {
  refer: RefObject<HTMLDivElement | null>;
  conflict: Conflict;
  timeline: readonly Entry[];
}) {
  const { w, when } = useSpeech();
  const changed = props.timeline.filter((entry) => entry.position > props.conflict.saw);
  return (
    <div className="notice warn conflict" role="alert" tabIndex={-1} ref={props.refer}>
      <Icon name="alert" />
      <div>
        <p>
          <strong>{w.ticket.conflict}</strong>
        </p>
        {changed.length > 0 ? (
          <>
            <p>{w.ticket.conflictChanged}</p>
            <ul>
              {changed.map((entry) => (
                <li key={`${entry.position}-${entry.kind}`}>
                  {entry.who} {entryWords(w, entry)} · {when(entry.at)}
                  {(entry.kind === "REPLY" || entry.kind === "COMMENT" || entry.kind === "NOTE") && (
                    <q className="text">{entry.said}</q>
                  )}
                </li>
              ))}
            </ul>
          </>
        ) : (
          <p>{w.ticket.conflictNothing}</p>
        )}
      </div>
      <button type="button" className="button small" onClick={props.conflict.again}>
        {w.ticket.sendAnyway}
      </button>
    </div>
  );
}

function useDraft(who: string, number: string): [Draft, (draft: Draft) => void] {
  const [draft, setDraft] = useState(() => keptDraft(who, number));
  useEffect(() => keepDraft(who, number, draft), [who, number, draft]);
  return [draft, setDraft];
}
