// Files for a reply: uploaded at once, checked at central like any other, and sent when they are clean.
import { Icon } from "@branchline/look";
import { useCallback, useEffect, useId, useRef, useState } from "react";
import { part, rest, upload } from "../../api/call.ts";
import { asFault } from "../../api/fault.ts";
import { faultWords } from "../../parts/fault-words.ts";
import { Verdict } from "../../parts/marks.tsx";
import { useSpeech } from "../../words/index.tsx";

/** As central counts. */
const REPLY_FILES = 20;
const LOOK_EVERY_MS = 2_000;

interface Attachment {
  key: string;
  name: string;
  size: number;
  id?: string;
  state: string;
  fault?: string;
}

export interface Attachments {
  list: readonly Attachment[];
  ids: string[];
  /** Something is on its way, being checked, or cannot be sent. */
  unready: boolean;
  add(files: Iterable<File>): void;
  remove(key: string): void;
  clear(): void;
}

const READY: ReadonlySet<string> = new Set(["clean", "released", "unknown"]);
const UNDECIDED: ReadonlySet<string> = new Set(["waiting", "received", "scanning"]);

export function useAttachments(): Attachments {
  const { w } = useSpeech();
  const [list, setList] = useState<readonly Attachment[]>([]);
  const there = useRef(true);
  useEffect(() => {
    there.current = true;
    return () => {
      there.current = false;
    };
  }, []);
  const change = useCallback((key: string, to: Partial<Attachment>) => {
    if (there.current) setList((before) => before.map((one) => (one.key === key ? { ...one, ...to } : one)));
  }, []);

  const undecided = list
    .filter((one) => one.id && UNDECIDED.has(one.state))
    .map((one) => `${one.key} ${one.id}`)
    .join(",");
  useEffect(() => {
    if (!undecided) return;
    const timer = setInterval(() => {
      for (const pair of undecided.split(",")) {
        const [key = "", id = ""] = pair.split(" ");
        rest<{ state: string }>("GET", `files/${part(id)}/state`).then(
          (answer) => change(key, { state: answer.state.toLowerCase() }),
          (thrown) => {
            // Who cannot ask lets central decide when the reply is sent.
            if (asFault(thrown).status === 404) change(key, { state: "unknown" });
          },
        );
      }
    }, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [undecided, change]);

  const add = (files: Iterable<File>) => {
    for (const file of [...files].slice(0, Math.max(0, REPLY_FILES - list.length))) {
      const key = crypto.randomUUID();
      setList((before) => [...before, { key, name: file.name, size: file.size, state: "uploading" }]);
      upload(file).then(
        (answer) => change(key, { id: answer.id, state: answer.state.toLowerCase() }),
        (thrown) => change(key, { state: "failed", fault: faultWords(w, asFault(thrown)) }),
      );
    }
  };
  return {
    list,
    ids: list.flatMap((one) => (one.id ? [one.id] : [])),
    unready: list.some((one) => !READY.has(one.state)),
    add,
    remove: (key) => setList((before) => before.filter((one) => one.key !== key)),
    clear: () => setList([]),
  };
}

export function AttachedList({ attachments }: { attachments: Attachments }) {
  const { w, size } = useSpeech();
  const id = useId();
  const picker = useRef<HTMLInputElement>(null);
  return (
    <div className="attachments">
      <label htmlFor={id} className="unseen">
        {w.ticket.attach}
      </label>
      <input
        id={id}
        ref={picker}
        type="file"
        multiple
        className="unseen"
        tabIndex={-1}
        onChange={(event) => {
          attachments.add(event.target.files ?? []);
          event.target.value = "";
        }}
      />
      <button type="button" className="button small" onClick={() => picker.current?.click()}>
        <Icon name="file" />
        {w.ticket.attach}
      </button>
      {attachments.list.length > 0 && (
        <ul className="files" aria-label={w.ticket.attached} aria-live="polite">
          {attachments.list.map((one) => (
            <li key={one.key} className="file">
              <span className="file-name" dir="auto">
                {one.name}
              </span>
              <span className="soft small nowrap">{size(one.size)}</span>
              <AttachmentState one={one} />
              <button
                type="button"
                className="button quiet small"
                onClick={() => attachments.remove(one.key)}
              >
                <Icon name="close" />
                {w.common.remove}
                <span className="unseen"> {one.name}</span>
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

function AttachmentState({ one }: { one: Attachment }) {
  const { w } = useSpeech();
  if (one.state === "uploading") return <span className="small soft">{w.ticket.uploading}</span>;
  if (one.state === "failed") {
    return (
      <span className="fault-line small">
        {w.ticket.uploadFailed}. {one.fault}
      </span>
    );
  }
  if (one.state === "unknown" || UNDECIDED.has(one.state))
    return <span className="small soft">{w.ticket.checking}</span>;
  return (
    <>
      <Verdict file={one} />
      {!READY.has(one.state) && <span className="fault-line small">{w.ticket.notClean}</span>}
    </>
  );
}
