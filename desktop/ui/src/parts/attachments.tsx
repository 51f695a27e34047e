// The files that go with something being written: picked, dropped or pasted.
import { Icon } from "@branchline/look";
import { useContext, useEffect } from "react";
import { useBackend } from "../api/backend.ts";
import { useWords } from "../words/index.ts";
import { OutsideContext } from "./outside.ts";
import type { Drafting } from "./use-draft.ts";

export function Attachments({ drafting }: { drafting: Drafting }) {
  const backend = useBackend();
  const words = useWords();
  const outside = useContext(OutsideContext);
  const { draft, take, say } = drafting;
  const id = draft?.id;

  useEffect(() => {
    if (id === undefined) return;
    const pasted = (event: ClipboardEvent) => {
      const when = new Date().toLocaleString(document.documentElement.lang).replace(/[/:]/g, "-");
      const files = [...(event.clipboardData?.files ?? [])];
      const add = async (file: File) => {
        const name = file.name && file.name !== "image.png" ? file.name : words.pasted(when);
        take(await backend.paste(id, name, new Uint8Array(await file.arrayBuffer())));
      };
      const addAll = async () => {
        for (const file of files) await add(file);
      };
      // WebKitGTK says that something was pasted, and nothing of a picture.
      const look = async () => {
        const draft = await backend.pastePicture(id, words.pasted(when));
        if (draft !== null) take(draft);
      };
      if (files.length > 0) event.preventDefault();
      else if (event.clipboardData?.types.includes("text/plain")) return;
      (files.length > 0 ? addAll() : look()).catch((fault) => say(String(fault)));
    };
    window.addEventListener("paste", pasted);
    return () => window.removeEventListener("paste", pasted);
  }, [backend, id, take, say, words]);

  const act = (action: Promise<NonNullable<typeof draft>>) =>
    action.then(take).catch((fault) => say(String(fault)));
  const files = draft?.files ?? [];
  return (
    <fieldset className={`files ${outside.over ? "over" : ""}`}>
      <legend>{words.files}</legend>
      {files.length > 0 && (
        <ul className="file-list">
          {files.map((file) => (
            <li key={file.id}>
              <Icon name={file.saved ? "check" : file.trouble ? "alert" : "file"} />
              <span className="name">{file.name}</span>
              <span className="soft small nowrap">
                {file.percent === null ? file.size : `${file.percent} %`}
              </span>
              {!file.saved && (
                <button
                  type="button"
                  className="button quiet small"
                  aria-label={words.removeFile(file.name)}
                  onClick={() => id && act(backend.removeFile(id, file.id))}
                >
                  <Icon name="close" />
                </button>
              )}
              {file.trouble && <p className="fault">{file.trouble}</p>}
            </li>
          ))}
        </ul>
      )}
      <div className="add">
        <button type="button" className="button" onClick={() => id && act(backend.pickFiles(id))}>
          <Icon name="file" />
          {words.addFiles}
        </button>
        <span className="soft small">{outside.over ? words.drop : words.dropHint}</span>
      </div>
    </fieldset>
  );
}
