// Files for a reply: dropped or chosen, given to central at once, checked there like any other, and sent when
// they are clean. What central found is said beside each; what failed says what to do.
import { Icon } from "@branchline/look";
import { useCallback, useEffect, useId, useRef, useState } from "react";
import { part, rest } from "../../api/call.ts";
import { asFault, type Fault } from "../../api/fault.ts";
import { type Given, type Upload, upload } from "../../api/upload.ts";
import { useDesk } from "../../desk.tsx";
import { faultWords } from "../../parts/fault-words.ts";
import { Verdict } from "../../parts/marks.tsx";
import { useSpeech } from "../../words/index.tsx";
import { HELD, ReleaseDialog } from "./files.tsx";

/** As central counts. */
export const REPLY_FILES = 20;
const LOOK_EVERY_MS = 2_000;

interface Attachment {
  key: string;
  file: File;
  name: string;
  /** `uploading`, `failed`, or what central says of it. */
  state: string;
  /** How much of it went, from 0 to 1. */
  went: number;
  id?: string | undefined;
  detail?: string | undefined;
  fault?: Fault | undefined;
}

export interface Attachments {
  list: readonly Attachment[];
  ids: string[];
  /** Something is on its way, being checked, or cannot be sent. */
  unready: boolean;
  /** So many were too many, the last time. */
  excess: number;
  add(files: Iterable<File>): void;
  again(one: Attachment): void;
  look(one: Attachment): void;
  remove(key: string): void;
  clear(): void;
}

const READY: ReadonlySet<string> = new Set(["clean", "released"]);
const UNDECIDED: ReadonlySet<string> = new Set(["waiting", "received", "scanning"]);

export function useAttachments(ticket: string): Attachments {
  const [list, setList] = useState<readonly Attachment[]>([]);
  const [excess, setExcess] = useState(0);
  const uploads = useRef(new Map<string, Upload>());
  useEffect(() => {
    const going = uploads.current;
    return () => {
      for (const one of going.values()) one.stop();
      going.clear();
    };
  }, []);
  const change = useCallback((key: string, to: Partial<Attachment>) => {
    setList((before) => before.map((one) => (one.key === key ? { ...one, ...to } : one)));
  }, []);
  const look = useCallback(
    (key: string, id: string) => {
      rest<Given>("GET", `files/${part(id)}/state`).then(
        (answer) => change(key, { state: answer.state, detail: answer.detail }),
        (thrown) => {
          const fault = asFault(thrown);
          // While central is away it is asked again; what it has not, it will not have.
          if (fault.status === 404) change(key, { state: "failed", id: undefined, fault });
        },
      );
    },
    [change],
  );

  const undecided = list
    .filter((one) => one.id && UNDECIDED.has(one.state))
    .map((one) => `${one.key} ${one.id}`)
    .join(",");
  useEffect(() => {
    if (!undecided) return;
    const timer = setInterval(() => {
      for (const pair of undecided.split(",")) {
        const [key = "", id = ""] = pair.split(" ");
        look(key, id);
      }
    }, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, [undecided, look]);

  const begin = (key: string, file: File) => {
    const going = upload(ticket, file, (went) => change(key, { went }));
    uploads.current.set(key, going);
    going.done
      .then(
        ({ id, name, state, detail }) => change(key, { id, name, state, detail, went: 1 }),
        (thrown) => change(key, { state: "failed", fault: asFault(thrown) }),
      )
      .finally(() => uploads.current.delete(key));
  };
  return {
    list,
    ids: list.flatMap((one) => (one.id ? [one.id] : [])),
    unready: list.some((one) => !READY.has(one.state)),
    excess,
    add: (files) => {
      const given = [...files];
      const taken = given.slice(0, Math.max(0, REPLY_FILES - list.length));
      setExcess(given.length - taken.length);
      for (const file of taken) {
        const key = crypto.randomUUID();
        setList((before) => [...before, { key, file, name: file.name, state: "uploading", went: 0 }]);
        begin(key, file);
      }
    },
    again: (one) => {
      change(one.key, { state: "uploading", went: 0, fault: undefined });
      begin(one.key, one.file);
    },
    look: (one) => one.id && look(one.key, one.id),
    remove: (key) => {
      uploads.current.get(key)?.stop();
      setExcess(0);
      setList((before) => before.filter((one) => one.key !== key));
    },
    clear: () => {
      setExcess(0);
      setList([]);
    },
  };
}

/** Whether what is dragged are files: text may be dropped into the field as ever. */
const hasFiles = (event: React.DragEvent) => event.dataTransfer.types.includes("Files");

/** What a part of the page needs so that files can be dropped on it. */
export function useDropping(attachments: Attachments, wanted: boolean) {
  const [over, setOver] = useState(false);
  return {
    over: over && wanted,
    handlers: {
      onDragOver: (event: React.DragEvent) => {
        if (!hasFiles(event)) return;
        // Else a browser would open the file in place of the page, and what was written would be gone.
        event.preventDefault();
        event.dataTransfer.dropEffect = wanted ? "copy" : "none";
        setOver(true);
      },
      onDragLeave: (event: React.DragEvent) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false);
      },
      onDrop: (event: React.DragEvent) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        setOver(false);
        if (wanted) attachments.add(event.dataTransfer.files);
      },
    },
  };
}

export function AttachedList({ attachments, over }: { attachments: Attachments; over: boolean }) {
  const { w } = useSpeech();
  const id = useId();
  const picker = useRef<HTMLInputElement>(null);
  return (
    <div className={over ? "attachments over" : "attachments"}>
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
      <span className="actions">
        <button type="button" className="button small" onClick={() => picker.current?.click()}>
          <Icon name="file" />
          {w.ticket.attach}
        </button>
        <span className="soft small">{w.ticket.dropHere}</span>
      </span>
      {attachments.excess > 0 && (
        <p className="fault-line small" role="alert">
          {w.ticket.tooManyFiles(REPLY_FILES, attachments.excess)}
        </p>
      )}
      {attachments.list.length > 0 && (
        <ul className="files" aria-label={w.ticket.attached} aria-live="polite">
          {attachments.list.map((one) => (
            <AttachmentLine key={one.key} one={one} attachments={attachments} />
          ))}
        </ul>
      )}
    </div>
  );
}

function AttachmentLine({ one, attachments }: { one: Attachment; attachments: Attachments }) {
  const { w, size } = useSpeech();
  const desk = useDesk();
  const [releasing, setReleasing] = useState(false);
  return (
    <li className={one.state === "infected" ? "file infected" : "file"}>
      <Icon name="file" />
      <span className="file-name" dir="auto">
        {one.name}
      </span>
      <span className="soft small nowrap">{size(one.file.size)}</span>
      <AttachmentState one={one} />
      <span className="file-do">
        {one.state === "failed" && one.fault?.kind === "try_again" && (
          <button type="button" className="button small" onClick={() => attachments.again(one)}>
            {w.common.retry}
            <span className="unseen"> {one.name}</span>
          </button>
        )}
        {one.id && HELD.has(one.state) && desk.may("RELEASE") && (
          <button type="button" className="button small" onClick={() => setReleasing(true)}>
            {w.file.release}
          </button>
        )}
        <button type="button" className="button quiet small" onClick={() => attachments.remove(one.key)}>
          <Icon name="close" />
          {w.common.remove}
          <span className="unseen"> {one.name}</span>
        </button>
      </span>
      {releasing && one.id && (
        <ReleaseDialog
          file={{ id: one.id, name: one.name }}
          onClose={() => {
            setReleasing(false);
            attachments.look(one);
          }}
        />
      )}
    </li>
  );
}

function AttachmentState({ one }: { one: Attachment }) {
  const { w } = useSpeech();
  if (one.state === "uploading") {
    return (
      <>
        <progress value={one.went} max={1} aria-label={w.ticket.uploadingFile(one.name)} />
        <span className="small soft">{w.ticket.uploading}</span>
      </>
    );
  }
  if (one.state === "failed") {
    return (
      <span className="fault-line small">
        {w.ticket.uploadFailed}. {one.fault && faultWords(w, one.fault)}
      </span>
    );
  }
  if (UNDECIDED.has(one.state)) {
    return (
      <span className="small soft">
        {w.ticket.checking}
        {one.detail && ` · ${one.detail}`}
      </span>
    );
  }
  const found = one.state === "infected" && one.detail ? w.file.infectedAs(one.detail) : "";
  return (
    <>
      <Verdict file={one} />
      {found && <span className="small file-detail">{found}</span>}
      {!READY.has(one.state) && <span className="fault-line small">{w.ticket.notClean}</span>}
    </>
  );
}
