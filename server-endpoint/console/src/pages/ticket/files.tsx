// Files with what became of them, in words. Only what central says is readable has a link, and that link
// gives an inert download, never a view.
import { Dialog, Field, Icon } from "@branchline/look";
import { useRef, useState } from "react";
import { fileAddress, part, rest } from "../../api/call.ts";
import type { Attached } from "../../api/generated.ts";
import { useDesk } from "../../desk.tsx";
import { Verdict, verdictOf } from "../../parts/marks.tsx";
import { useSpeech } from "../../words/index.tsx";

export function Files({ files }: { files: readonly Attached[] }) {
  return (
    <ul className="files">
      {files.map((file) => (
        <FileLine key={file.id} file={file} />
      ))}
    </ul>
  );
}

export const HELD: ReadonlySet<string> = new Set(["held", "too-large", "too_large"]);

function FileLine({ file }: { file: Attached }) {
  const { w, size } = useSpeech();
  const desk = useDesk();
  const [releasing, setReleasing] = useState(false);
  const state = verdictOf(file);
  const infected = state === "infected";
  const detail = infected && file.detail ? w.file.infectedAs(file.detail) : file.detail;
  return (
    <li className={infected ? "file infected" : "file"}>
      <Icon name="file" />
      <span className="file-name" dir="auto">
        {file.name}
      </span>
      <span className="soft small nowrap">{size(file.size)}</span>
      <Verdict file={file} />
      {detail && <span className="small file-detail">{detail}</span>}
      <span className="file-do">
        {file.readable ? (
          <a className="button small" href={fileAddress(file.id)} download={file.name} rel="noreferrer">
            <Icon name="download" />
            {w.file.download}
            <span className="unseen"> {file.name}</span>
          </a>
        ) : (
          <span className="soft small">{w.file.notReadable}</span>
        )}
        {HELD.has(state) && desk.may("RELEASE") && (
          <button type="button" className="button small" onClick={() => setReleasing(true)}>
            {w.file.release}
          </button>
        )}
      </span>
      {releasing && <ReleaseDialog file={file} onClose={() => setReleasing(false)} />}
    </li>
  );
}

export function ReleaseDialog({
  file,
  onClose,
}: {
  file: Pick<Attached, "id" | "name">;
  onClose: () => void;
}) {
  const { w } = useSpeech();
  const desk = useDesk();
  const [reason, setReason] = useState("");
  const [busy, setBusy] = useState(false);
  const first = useRef<HTMLInputElement>(null);
  const release = async () => {
    if (!reason.trim() || busy) return;
    setBusy(true);
    try {
      await rest("POST", `files/${part(file.id)}/release`, { reason: reason.trim() });
      desk.say(w.file.released_);
      onClose();
    } catch (thrown) {
      desk.complain(thrown);
      setBusy(false);
    }
  };
  return (
    <Dialog title={w.file.releaseTitle(file.name)} closeWord={w.common.close} onClose={onClose} first={first}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void release();
        }}
      >
        <p>{w.file.releaseLead}</p>
        <Field label={w.file.releaseReason}>
          {(ids) => (
            <input
              {...ids}
              ref={first}
              required
              maxLength={500}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
          )}
        </Field>
        <div className="actions">
          <button type="button" className="button" onClick={onClose}>
            {w.common.cancel}
          </button>
          <button type="submit" className="button danger" aria-disabled={busy}>
            {w.file.releaseDo}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
