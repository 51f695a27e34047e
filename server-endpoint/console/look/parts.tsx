// The few components that the console and the desktop client share. They know neither server nor agent, and
// say nothing themselves: every word comes from whoever uses them.
import { type ReactNode, type RefObject, useEffect, useId, useRef } from "react";
import { Icon, type IconName } from "./icon.tsx";

export type Tone = "plain" | "good" | "warn" | "bad" | "calm";

/** A word in a coloured ground, with an icon: never colour alone. */
export function Mark({ tone, icon, children }: { tone?: Tone; icon?: IconName; children: ReactNode }) {
  return (
    <span className={`mark ${tone ?? ""}`}>
      {icon && <Icon name={icon} />}
      {children}
    </span>
  );
}

/** Something that a person should know now. `urgent` interrupts a screen reader. */
export function Notice(props: {
  tone: Tone;
  icon?: IconName;
  urgent?: boolean;
  children: ReactNode;
  action?: ReactNode;
}) {
  return (
    <div className={`notice ${props.tone}`} role={props.urgent ? "alert" : "status"}>
      {props.icon && <Icon name={props.icon} />}
      <p>{props.children}</p>
      {props.action}
    </div>
  );
}

/** A labelled control. `children` gets the ids that tie the parts together. */
export function Field(props: {
  label: ReactNode;
  hint?: ReactNode;
  fault?: string | undefined;
  children: (ids: { id: string; "aria-describedby"?: string; "aria-invalid"?: true }) => ReactNode;
}) {
  const id = useId();
  const said = [props.hint && `${id}-hint`, props.fault && `${id}-fault`].filter(Boolean).join(" ");
  return (
    <div className="field">
      <label htmlFor={id}>{props.label}</label>
      {props.children({
        id,
        ...(said ? { "aria-describedby": said } : {}),
        ...(props.fault ? { "aria-invalid": true as const } : {}),
      })}
      {props.hint && (
        <span className="hint" id={`${id}-hint`}>
          {props.hint}
        </span>
      )}
      {props.fault && (
        <span className="fault" id={`${id}-fault`}>
          {props.fault}
        </span>
      )}
    </div>
  );
}

/** A modal dialog: the browser's own, which keeps the focus inside and gives it back. */
export function Dialog(props: {
  title: string;
  closeWord: string;
  onClose: () => void;
  children: ReactNode;
  first?: RefObject<HTMLElement | null>;
}) {
  const box = useRef<HTMLDialogElement>(null);
  const title = useId();
  const { first } = props;
  useEffect(() => {
    const before = document.activeElement;
    const dialog = box.current;
    if (dialog && !dialog.open) dialog.showModal();
    first?.current?.focus();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, [first]);
  return (
    <dialog
      className="dialog"
      ref={box}
      aria-labelledby={title}
      onCancel={(event) => {
        event.preventDefault();
        props.onClose();
      }}
    >
      <div className="inside">
        <div className="head">
          <h2 id={title}>{props.title}</h2>
          <button type="button" className="button quiet small" onClick={props.onClose}>
            <Icon name="close" />
            {props.closeWord}
          </button>
        </div>
        {props.children}
      </div>
    </dialog>
  );
}
