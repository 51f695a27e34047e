// What the sections of administration have in common.
import { Icon, Notice } from "@branchline/look";
import { type ReactNode, useEffect, useRef } from "react";
import { useDesk } from "../../desk.tsx";
import { usePageTitle } from "../../parts/page.tsx";
import { useSpeech } from "../../words/index.tsx";

export function Section(props: { title: string; lead: string; children: ReactNode }) {
  const heading = usePageTitle(props.title);
  return (
    <div className="section">
      <div className="page-head">
        <div>
          <h1 ref={heading} tabIndex={-1}>
            {props.title}
          </h1>
          <p className="soft">{props.lead}</p>
        </div>
      </div>
      {props.children}
    </div>
  );
}

export function Table(props: {
  caption: string;
  columns: string[];
  children: ReactNode;
  none: string;
  empty: boolean;
}) {
  if (props.empty) return <p className="quiet-line soft">{props.none}</p>;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: whoever has no mouse scrolls it with the arrow keys
    <section className="wide" tabIndex={0} aria-label={props.caption}>
      <table className="plain">
        <caption>{props.caption}</caption>
        <thead>
          <tr>
            {props.columns.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>{props.children}</tbody>
      </table>
    </section>
  );
}

/** A secret that is shown once: it takes the focus, so that nobody passes it by. */
export function Once(props: {
  title: string;
  lead: string;
  secret: string;
  command?: { lead: string; text: string };
}) {
  const { w } = useSpeech();
  const desk = useDesk();
  const box = useRef<HTMLElement>(null);
  useEffect(() => box.current?.focus(), []);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(props.secret);
      desk.say(w.common.copied);
    } catch {
      // The text is there to be selected.
    }
  };
  return (
    <section className="once" tabIndex={-1} ref={box} aria-label={props.title}>
      <Notice tone="good" icon="lock">
        <strong>{props.title}.</strong> {props.lead}
      </Notice>
      <p className="secret">
        <code>{props.secret}</code>
        <button type="button" className="button small" onClick={() => void copy()}>
          <Icon name="file" />
          {w.common.copy}
        </button>
      </p>
      {props.command && (
        <p className="small">
          {props.command.lead} <code>{props.command.text}</code>
        </p>
      )}
    </section>
  );
}

/** An array, or an object that holds one. */
export function listIn<T>(answer: unknown): T[] {
  if (Array.isArray(answer)) return answer as T[];
  if (typeof answer !== "object" || answer === null) return [];
  const found = Object.values(answer).find(Array.isArray);
  return (found ?? []) as T[];
}
