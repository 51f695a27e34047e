// Something being written: kept on disk as it grows, so that nothing is lost whatever happens to the window.
import { useCallback, useContext, useEffect, useRef, useState } from "react";
import { useBackend } from "../api/backend.ts";
import type { DraftText, DraftView } from "../api/types.ts";
import { OutsideContext } from "./outside.ts";

/** How long a pause in typing is before it is kept. */
const PAUSE_MS = 250;

const EMPTY: DraftText = { subject: "", text: "", category: "", priority: "", asset: "", phone: "" };

export interface Drafting {
  draft: DraftView | null;
  text: DraftText;
  /** Whether all that was written is on disk. */
  kept: boolean;
  trouble: string | null;
  set(change: Partial<DraftText>): void;
  /** Takes on what the program says the draft is now. */
  take(draft: DraftView): void;
  say(trouble: string | null): void;
  /** Resolves when all that was written is on disk. */
  flush(): Promise<void>;
  /** Begins anew, after the last one was saved or thrown away. */
  renew(): Promise<void>;
}

export function useDraft(on: string | null): Drafting {
  const backend = useBackend();
  const outside = useContext(OutsideContext);
  const [draft, setDraft] = useState<DraftView | null>(null);
  const [text, setText] = useState<DraftText>(EMPTY);
  const [kept, setKept] = useState(true);
  const [trouble, setTrouble] = useState<string | null>(null);
  const id = useRef<string | null>(null);
  const latest = useRef<DraftText>(EMPTY);
  const dirty = useRef(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const writing = useRef<Promise<void>>(Promise.resolve());

  const renew = useCallback(async () => {
    clearTimeout(timer.current);
    dirty.current = false;
    const begun = await backend.draft(on);
    id.current = begun.id;
    latest.current = begun.text;
    setDraft(begun);
    setText(begun.text);
    setKept(true);
    await backend.attend(begun.id);
  }, [backend, on]);

  const write = useCallback((): Promise<void> => {
    clearTimeout(timer.current);
    // One after the other, so that an older text never overtakes a newer one.
    writing.current = writing.current.then(async () => {
      if (!dirty.current || id.current === null) return;
      dirty.current = false;
      try {
        setDraft(await backend.write(id.current, latest.current));
        setTrouble(null);
        if (!dirty.current) setKept(true);
      } catch (fault) {
        dirty.current = true;
        setTrouble(String(fault));
      }
    });
    return writing.current;
  }, [backend]);

  useEffect(() => {
    void renew().catch((fault) => setTrouble(String(fault)));
    return () => {
      void write();
      void backend.attend(null);
    };
  }, [renew, write, backend]);

  useEffect(() => {
    const { added, trouble: said } = outside;
    if (added && added.id === id.current) setDraft(added);
    if (said) setTrouble(said);
  }, [outside]);

  const set = useCallback(
    (change: Partial<DraftText>) => {
      latest.current = { ...latest.current, ...change };
      dirty.current = true;
      setText(latest.current);
      setKept(false);
      clearTimeout(timer.current);
      timer.current = setTimeout(() => void write(), PAUSE_MS);
    },
    [write],
  );

  return { draft, text, kept, trouble, set, take: setDraft, say: setTrouble, flush: write, renew };
}
