// The way in: name and password; and another password, where the present one was made by somebody else.
import { Field, Notice } from "@branchline/look";
import { useRef, useState } from "react";
import { rest } from "../api/call.ts";
import { asFault, type Fault } from "../api/fault.ts";
import mark from "../mark.svg";
import { LanguageChoice } from "../parts/choices.tsx";
import { faultWords } from "../parts/fault-words.ts";
import { usePageTitle } from "../parts/page.tsx";
import type { Words } from "../words/en.ts";
import { useSpeech } from "../words/index.tsx";

const PASSWORD_CHARS = 12;

export function SignIn({ again, onSignedIn }: { again: boolean; onSignedIn: () => void }) {
  const { w } = useSpeech();
  const heading = usePageTitle(w.signIn.title);
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const [changing, setChanging] = useState(false);
  const field = useRef<HTMLInputElement>(null);

  if (changing) {
    return (
      <Door>
        <PasswordForm name={name} present={password} forced onChanged={onSignedIn} />
      </Door>
    );
  }
  const submit = async () => {
    if (busy) return;
    setBusy(true);
    setFault("");
    try {
      await rest("POST", "session", { name: name.trim(), password });
      onSignedIn();
    } catch (thrown) {
      const fault = asFault(thrown);
      if (fault.type === "password-change-needed") setChanging(true);
      else {
        setFault(signInWords(w, fault));
        field.current?.focus();
        field.current?.select();
      }
      setBusy(false);
    }
  };
  return (
    <Door>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <h1 ref={heading} tabIndex={-1}>
          {w.signIn.title}
        </h1>
        <p className="soft">{again ? w.signIn.again : w.signIn.lead}</p>
        {fault && (
          <Notice tone="bad" icon="alert" urgent>
            {fault}
          </Notice>
        )}
        <Field label={w.signIn.name}>
          {(ids) => (
            <input
              {...ids}
              name="username"
              autoComplete="username"
              autoCapitalize="none"
              spellCheck={false}
              required
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <Field label={w.signIn.password}>
          {(ids) => (
            <input
              {...ids}
              ref={field}
              name="password"
              type="password"
              autoComplete="current-password"
              required
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        <button type="submit" className="button primary" aria-disabled={busy}>
          {busy ? w.common.working : w.signIn.submit}
        </button>
      </form>
    </Door>
  );
}

function signInWords(w: Words, fault: Fault): string {
  if (fault.status === 401) return w.signIn.wrong;
  if (fault.status === 429) return w.signIn.wait(fault.retryAfter ?? 60);
  return faultWords(w, fault);
}

function Door({ children }: { children: React.ReactNode }) {
  const { w } = useSpeech();
  return (
    <main className="door">
      <p className="brand">
        <img src={mark} alt="" width="28" height="28" />
        {w.product}
      </p>
      {children}
      <LanguageChoice />
    </main>
  );
}

/** Also for who is signed in and wants another one; then `present` is asked for. */
export function PasswordForm(props: {
  name: string;
  present?: string;
  forced?: boolean;
  onChanged: () => void;
}) {
  const { w } = useSpeech();
  const heading = usePageTitle(w.password.title);
  const [present, setPresent] = useState(props.present ?? "");
  const [next, setNext] = useState("");
  const [repeat, setRepeat] = useState("");
  const [shown, setShown] = useState(false);
  const [fault, setFault] = useState("");
  const [busy, setBusy] = useState(false);
  const short = [...next].length < PASSWORD_CHARS;
  const submit = async () => {
    if (busy) return;
    if (short) return setFault(w.password.hint);
    if (next !== repeat) return setFault(w.password.differs);
    setBusy(true);
    setFault("");
    try {
      await rest("POST", "password", { name: props.name.trim(), password: present, new_password: next });
      await rest("POST", "session", { name: props.name.trim(), password: next });
      props.onChanged();
    } catch (thrown) {
      const fault = asFault(thrown);
      setFault(fault.status === 401 ? w.password.wrong : signInWords(w, fault));
      setBusy(false);
    }
  };
  const type = shown ? "text" : "password";
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <h1 ref={heading} tabIndex={-1}>
        {w.password.title}
      </h1>
      {props.forced && <p className="soft">{w.password.forced}</p>}
      {fault && (
        <Notice tone="bad" icon="alert" urgent>
          {fault}
        </Notice>
      )}
      <input type="hidden" name="username" autoComplete="username" value={props.name} readOnly />
      {!props.present && (
        <Field label={w.password.old}>
          {(ids) => (
            <input
              {...ids}
              type={type}
              autoComplete="current-password"
              required
              value={present}
              onChange={(event) => setPresent(event.target.value)}
            />
          )}
        </Field>
      )}
      <Field label={w.password.next} hint={w.password.hint}>
        {(ids) => (
          <input
            {...ids}
            type={type}
            autoComplete="new-password"
            required
            value={next}
            onChange={(event) => setNext(event.target.value)}
          />
        )}
      </Field>
      <Field label={w.password.repeat}>
        {(ids) => (
          <input
            {...ids}
            type={type}
            autoComplete="new-password"
            required
            value={repeat}
            onChange={(event) => setRepeat(event.target.value)}
          />
        )}
      </Field>
      <label className="check">
        <input type="checkbox" checked={shown} onChange={(event) => setShown(event.target.checked)} />
        {w.password.show}
      </label>
      <button type="submit" className="button primary" aria-disabled={busy}>
        {busy ? w.common.working : w.password.submit}
      </button>
    </form>
  );
}
