// A ticket: how far it has come, what was said, and what can be added.
import { Dialog, Field, Icon, Mark, Notice } from "@branchline/look";
import { useCallback, useEffect, useRef, useState } from "react";
import { useBackend } from "../api/backend.ts";
import type {
  EntryView,
  FileKept,
  FileView,
  GivenFileView,
  HandedIn,
  Rung,
  TicketView,
} from "../api/types.ts";
import type { Place } from "../app.tsx";
import { Attachments } from "../parts/attachments.tsx";
import { MARKS, RUNGS } from "../parts/marks.ts";
import { useDraft } from "../parts/use-draft.ts";
import { useWords } from "../words/index.ts";

/** How often a ticket is looked at while its files are on their way. */
const LOOK_MS = 1_000;

export function TicketPage(props: {
  number: string;
  /** Which news led here; `undefined` where none did. */
  news?: number | undefined;
  go: (place: Place) => void;
  changes: number;
}) {
  const backend = useBackend();
  const words = useWords();
  const { number, news, go, changes } = props;
  const [ticket, setTicket] = useState<TicketView | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const heading = useRef<HTMLHeadingElement>(null);
  const [asking, setAsking] = useState(false);

  const load = useCallback(
    () =>
      backend.ticket(number).then(
        (fresh) => {
          setTicket(fresh);
          setTrouble(null);
        },
        (fault) => setTrouble(String(fault)),
      ),
    [backend, number],
  );
  // biome-ignore lint/correctness/useExhaustiveDependencies: each change is a reason to ask again
  useEffect(() => void load(), [load, changes]);
  useEffect(() => {
    if (!ticket?.moving) return;
    const timer = setInterval(() => void load(), LOOK_MS);
    return () => clearInterval(timer);
  }, [ticket?.moving, load]);
  const there = ticket !== null;
  const talk = useRef<HTMLOListElement>(null);
  // Trouble stands at the top, and goes first.
  const troubled = useRef(false);
  troubled.current = !!ticket?.trouble;
  // Whoever was told of an answer wants to see it; also where its ticket was open.
  useEffect(() => {
    if (!there) return;
    const answers = talk.current?.querySelectorAll<HTMLElement>(":scope > .answer") ?? [];
    const last = news === undefined || troubled.current ? undefined : [...answers].at(-1);
    if (last) {
      last.focus({ preventScroll: true });
      last.scrollIntoView({ block: "center" });
    } else {
      heading.current?.focus({ preventScroll: true });
    }
  }, [there, news]);

  const back = (
    <button type="button" className="button quiet" onClick={() => go({ at: "list" })}>
      <Icon name="back" />
      {words.back}
    </button>
  );
  if (!ticket)
    return (
      <section className="page">
        {back}
        <p className="soft">{trouble ?? words.loading}</p>
      </section>
    );
  const [tone, icon] = MARKS[ticket.mood];
  const facts = [
    [words.filed, `${ticket.filed}, ${ticket.reporter}`],
    [words.about, ticket.category],
    [words.howBad, ticket.priority],
    [words.device, ticket.asset],
    [words.contact, ticket.contact],
  ].filter(([, value]) => value);
  return (
    <article className="page ticket">
      {back}
      <header>
        <p className="mono soft">{ticket.number}</p>
        <h1 ref={heading} tabIndex={-1}>
          {ticket.subject}
        </h1>
        <Mark tone={tone} icon={icon}>
          {ticket.standing}
        </Mark>
      </header>
      {trouble && (
        <Notice tone="warn" icon="alert">
          {trouble}
        </Notice>
      )}
      <Ladder rungs={ticket.ladder} />
      {ticket.trouble && (
        <Notice tone="bad" icon="alert">
          <strong>{ticket.trouble.what}</strong> {ticket.trouble.todo}
        </Notice>
      )}
      {ticket.files.length > 0 && <Files files={ticket.files} />}
      <section aria-labelledby="conversation">
        <h2 id="conversation">{words.conversation}</h2>
        <ol className="talk" ref={talk}>
          <li className="entry comment">
            <p className="who">
              <strong>{ticket.reporter}</strong> <span className="soft small">{ticket.filed}</span>
            </p>
            <p className="text">{ticket.description}</p>
          </li>
          {ticket.entries.map((entry, place) => (
            // biome-ignore lint/suspicious/noArrayIndexKey: entries only ever come behind
            <Entry key={place} entry={entry} />
          ))}
        </ol>
        {!ticket.entries.some((entry) => entry.kind === "answer") && (
          <p className="soft">{words.noAnswers}</p>
        )}
      </section>
      {ticket.open && <Addition number={ticket.number} done={load} />}
      <section aria-labelledby="details">
        <h2 id="details">{words.details}</h2>
        <dl className="facts">
          {facts.map(([name, value]) => (
            <div key={name}>
              <dt>{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
        {ticket.open && (
          <button type="button" className="button quiet" onClick={() => setAsking(true)}>
            {words.withdraw}
          </button>
        )}
      </section>
      {asking && <Withdrawal number={ticket.number} close={() => setAsking(false)} done={load} />}
    </article>
  );
}

function Ladder({ rungs }: { rungs: Rung[] }) {
  const words = useWords();
  const told = rungs.findLast((rung) => rung.state === "now" || rung.state === "wrong");
  return (
    <section aria-label={words.ladder}>
      <ol className="ladder">
        {rungs.map((rung) => (
          <li key={rung.step} className={rung.state} aria-current={rung.state === "now" ? "step" : undefined}>
            <Icon name={RUNGS[rung.state]} />
            <span className="name">{rung.name}</span>
            <span className="unseen">: {words[rung.state]}</span>
            {rung.words && <span className="words small">{rung.words}</span>}
          </li>
        ))}
      </ol>
      <p className="unseen" role="status">
        {told ? `${told.name}: ${told.words}` : ""}
      </p>
    </section>
  );
}

function Files({ files }: { files: FileView[] }) {
  const words = useWords();
  return (
    <section aria-labelledby="files">
      <h2 id="files">{words.files}</h2>
      <ul className="file-list">
        {files.map((file) => (
          <li key={file.id}>
            <FileFacts file={file} />
            {file.percent !== null && (
              <progress max={100} value={file.percent} aria-label={words.progress(file.name)} />
            )}
            {file.trouble && (
              <p className="fault">
                {file.trouble.what} {file.trouble.todo}
              </p>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function FileFacts({ file }: { file: Pick<FileView, "name" | "size" | "mood" | "standing"> }) {
  const [tone, icon] = MARKS[file.mood];
  return (
    <>
      <Icon name="file" />
      <span className="name">{file.name}</span>
      <span className="soft small nowrap">{file.size}</span>
      <Mark tone={tone} icon={icon}>
        {file.standing}
      </Mark>
    </>
  );
}

function Entry({ entry }: { entry: EntryView }) {
  const words = useWords();
  const answer = entry.kind === "answer";
  const [tone, icon] = MARKS[entry.mood];
  return (
    <li className={`entry ${entry.kind}`} tabIndex={-1}>
      <p className="who">
        <strong>{answer ? `${words.central} (${entry.by})` : entry.by}</strong>{" "}
        <span className="soft small">{entry.at}</span>
        {entry.standing && entry.mood !== "good" && (
          <Mark tone={tone} icon={icon}>
            {entry.standing}
          </Mark>
        )}
      </p>
      {entry.kind === "withdrawal" && <p className="soft">{words.withdrawn}</p>}
      {entry.text && <p className="text">{entry.text}</p>}
      {entry.files.length > 0 && (
        <ul className="file-list" aria-label={words.answerFiles}>
          {entry.files.map((file) => (
            <Given key={file.id} file={file} />
          ))}
        </ul>
      )}
    </li>
  );
}

/** A file that came with an answer. It can be put somewhere; what opens it is the person's business. */
function Given({ file }: { file: GivenFileView }) {
  const backend = useBackend();
  const words = useWords();
  const [kept, setKept] = useState<FileKept | null>(null);
  const [busy, setBusy] = useState(false);
  const save = async () => {
    if (busy) return;
    setBusy(true);
    setKept(null);
    try {
      setKept(await backend.saveGiven(file.id));
    } catch (fault) {
      setKept({ outcome: "refused", trouble: { what: String(fault), todo: "" } });
    } finally {
      setBusy(false);
    }
  };
  return (
    <li>
      <FileFacts file={file} />
      {file.here && (
        <button
          type="button"
          className="button small"
          aria-disabled={busy}
          aria-label={`${words.saveAs} ${file.name}`}
          onClick={() => void save()}
        >
          <Icon name="download" />
          {busy ? words.saving : words.saveAs}
        </button>
      )}
      {kept?.outcome === "kept" && (
        <p className="done small" role="status">
          <Icon name="check" /> {kept.words}
        </p>
      )}
      {kept?.outcome === "refused" && (
        <p className="fault" role="alert">
          {kept.trouble.what} {kept.trouble.todo}
        </p>
      )}
    </li>
  );
}

function Addition({ number, done }: { number: string; done: () => Promise<void> }) {
  const backend = useBackend();
  const words = useWords();
  const drafting = useDraft(number);
  const { draft, text, set } = drafting;
  const [said, setSaid] = useState<HandedIn | null>(null);
  const [busy, setBusy] = useState(false);
  if (!draft) return drafting.trouble ? <p className="fault">{drafting.trouble}</p> : null;
  const empty = !text.text.trim() && draft.files.length === 0;
  const handIn = async () => {
    if (busy || empty) return;
    setBusy(true);
    try {
      await drafting.flush();
      const outcome = await backend.handIn(draft.id);
      setSaid(outcome);
      if (outcome.outcome !== "refused") await drafting.renew();
      await done();
    } catch (fault) {
      drafting.say(String(fault));
    } finally {
      setBusy(false);
    }
  };
  return (
    <form
      className="addition"
      onSubmit={(event) => {
        event.preventDefault();
        void handIn();
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
          event.preventDefault();
          void handIn();
        }
      }}
    >
      <h2>{words.add}</h2>
      {said && (
        <Notice
          tone={said.outcome === "saved" ? "good" : said.outcome === "waiting" ? "warn" : "bad"}
          icon={said.outcome === "saved" ? "check" : "alert"}
        >
          {said.words}
        </Notice>
      )}
      {drafting.trouble && (
        <Notice tone="bad" icon="alert" urgent>
          {drafting.trouble}
        </Notice>
      )}
      <Field label={words.comment}>
        {(ids) => (
          <textarea
            {...ids}
            rows={3}
            value={text.text}
            onChange={(event) => {
              setSaid(null);
              set({ text: event.target.value });
            }}
          />
        )}
      </Field>
      <Attachments drafting={drafting} />
      <div className="bottom">
        <span className="soft small kept">
          {!empty && <Icon name={drafting.kept ? "check" : "loop"} />}
          {!empty && (drafting.kept ? words.kept : words.keeping)}
        </span>
        <span className="stretch" />
        <button type="submit" className="button primary" aria-disabled={busy || empty}>
          {busy ? words.saving : words.send}
        </button>
      </div>
    </form>
  );
}

function Withdrawal(props: { number: string; close: () => void; done: () => Promise<void> }) {
  const backend = useBackend();
  const words = useWords();
  const [reason, setReason] = useState("");
  const [trouble, setTrouble] = useState<string | null>(null);
  const withdraw = () =>
    backend.withdraw(props.number, reason).then(
      () => {
        props.close();
        void props.done();
      },
      (fault) => setTrouble(String(fault)),
    );
  return (
    <Dialog title={words.withdrawAsk} closeWord={words.close} onClose={props.close}>
      <p>{words.withdrawHint}</p>
      {trouble && (
        <Notice tone="bad" icon="alert" urgent>
          {trouble}
        </Notice>
      )}
      <Field label={`${words.withdrawReason} (${words.optional})`}>
        {(ids) => (
          <textarea {...ids} rows={2} value={reason} onChange={(event) => setReason(event.target.value)} />
        )}
      </Field>
      <div className="actions">
        <button type="button" className="button" onClick={props.close}>
          {words.discardNo}
        </button>
        <button type="button" className="button danger" onClick={() => void withdraw()}>
          {words.withdrawYes}
        </button>
      </div>
    </Dialog>
  );
}
