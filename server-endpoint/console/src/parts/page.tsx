// What every page does: names itself in the window's title, and takes the focus when somebody comes to it.
import { Notice } from "@branchline/look";
import { type RefObject, useEffect, useRef } from "react";
import type { Fault } from "../api/fault.ts";
import { useSpeech } from "../words/index.tsx";
import { faultWords } from "./fault-words.ts";

export function usePageTitle(title: string, { focus = true } = {}): RefObject<HTMLHeadingElement | null> {
  const heading = useRef<HTMLHeadingElement>(null);
  const wanted = useRef(focus);
  const { w } = useSpeech();
  useEffect(() => {
    document.title = `${title} · ${w.product}`;
  }, [title, w]);
  useEffect(() => {
    if (!wanted.current) return;
    window.scrollTo({ top: 0 });
    heading.current?.focus({ preventScroll: true });
  }, []);
  return heading;
}

export function Unavailable({ fault, onRetry }: { fault: Fault; onRetry?: () => void }) {
  const { w } = useSpeech();
  const again = onRetry && (
    <button type="button" className="button small" onClick={onRetry}>
      {w.common.retry}
    </button>
  );
  return (
    <Notice tone="bad" icon="alert" urgent action={again}>
      {faultWords(w, fault)}
    </Notice>
  );
}
