// The form: under a minute, by keyboard alone. "Saved" only after the agent's answer.
import { Dialog, Field, Icon, Notice } from "@branchline/look";
import { useEffect, useRef, useState } from "react";
import { useBackend } from "../api/backend.ts";
import type { Form, HandedIn } from "../api/types.ts";
import type { Place } from "../app.tsx";
import { Attachments } from "../parts/attachments.tsx";
import { tooMany } from "../parts/counted.ts";
import { useDraft } from "../parts/use-draft.ts";
import { useWords } from "../words/index.ts";

const PRIORITIES = ["low", "normal", "high", "urgent"] as const;

export function NewTicket({ go }: { go: (place: Place) => void }) {
  const backend = useBackend();
  const words = useWords();
  const drafting = useDraft(null);
  const { draft, text, set } = drafting;
  const [form, setForm] = useState<Form | null>(null);
  const [said, setSaid] = useState<HandedIn | null>(null);
  const [busy, setBusy] = useState(false);
  const [tried, setTried] = useState(false);
  const [asking, setAsking] = useState(false);
  const subject = useRef<HTMLInputElement>(null);
  const opened = useRef<boolean | null>(null);
  const done = useRef<HTMLHeadingElement>(null);

  useEffect(() => {
    void backend.form().then(setForm);
  }, [backend]);
  useEffect(() => {
    if (said && said.outcome !== "refused") done.current?.focus();
  }, [said]);

  if (!form || !draft) return <p className="soft">{drafting.trouble ?? words.loading}</p>;

  const category = form.categories.find((known) => known.code === text.category);
  const priority = text.priority || category?.priority || "normal";
  // Open from the beginning where something stands in it; from then on the person opens and closes it.
  opened.current ??= Boolean(text.asset || text.phone);
  const faults = {
    subject: !text.subject.trim()
      ? words.needsSubject
      : tooMany(text.subject, form.subject_chars) > 0
        ? words.tooLong(tooMany(text.subject, form.subject_chars))
        : undefined,
    text:
      tooMany(text.text, form.text_chars) > 0
        ? words.tooLong(tooMany(text.text, form.text_chars))
        : undefined,
    asset:
      tooMany(text.asset, form.asset_chars) > 0
        ? words.tooLong(tooMany(text.asset, form.asset_chars))
        : undefined,
    phone:
      tooMany(text.phone, form.phone_chars) > 0
        ? words.tooLong(tooMany(text.phone, form.phone_chars))
        : undefined,
  };

  const handIn = async () => {
    setTried(true);
    if (busy) return;
    if (faults.subject || faults.text || faults.asset || faults.phone) {
      document.querySelector<HTMLElement>("[aria-invalid]")?.focus();
      if (faults.subject) subject.current?.focus();
      return;
    }
    setBusy(true);
    try {
      set({ priority });
      await drafting.flush();
      setSaid(await backend.handIn(draft.id));
    } catch (fault) {
      drafting.say(String(fault));
    } finally {
      setBusy(false);
    }
  };

  const anew = async () => {
    setSaid(null);
    setTried(false);
    await drafting.renew();
    subject.current?.focus();
  };

  if (said && said.outcome !== "refused") {
    const saved = said.outcome === "saved";
    return (
      <section className={`page outcome ${said.outcome}`}>
        <Icon name={saved ? "check" : said.outcome === "partly" ? "alert" : "clock"} />
        <h1 ref={done} tabIndex={-1}>
          {saved ? words.saved : said.outcome === "partly" ? words.saved : words.begun}
        </h1>
        <p className="large" role="status">
          {said.words}
        </p>
        {saved && <p className="soft">{words.savedNote}</p>}
        <div className="actions">
          {said.outcome !== "waiting" && (
            <button
              type="button"
              className="button primary"
              onClick={() => go({ at: "ticket", number: said.number })}
            >
              {words.showTicket}
            </button>
          )}
          <button type="button" className="button" onClick={() => void anew()}>
            {words.another}
          </button>
        </div>
      </section>
    );
  }

  return (
    <form
      className="page form"
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
      noValidate
    >
      <div className="head">
        <h1>{words.newTicket}</h1>
        <p className="soft">{words.formIntro}</p>
      </div>
      {said && (
        <Notice tone="bad" icon="alert" urgent>
          {said.words}
        </Notice>
      )}
      {drafting.trouble && (
        <Notice tone="bad" icon="alert" urgent>
          {drafting.trouble}
        </Notice>
      )}
      <Field
        label={words.subject}
        hint={words.subjectHint}
        fault={tried || tooMany(text.subject, form.subject_chars) > 0 ? faults.subject : undefined}
      >
        {(ids) => (
          <input
            {...ids}
            ref={subject}
            data-first
            // biome-ignore lint/a11y/noAutofocus: the page is this form, and was asked for
            autoFocus
            autoComplete="off"
            required
            value={text.subject}
            onChange={(event) => set({ subject: event.target.value })}
          />
        )}
      </Field>
      <Field label={words.text} hint={category?.hint || words.textHint} fault={faults.text}>
        {(ids) => (
          <textarea
            {...ids}
            rows={4}
            value={text.text}
            onChange={(event) => set({ text: event.target.value })}
          />
        )}
      </Field>
      <Attachments drafting={drafting} />
      <div className="pair">
        {form.categories.length > 0 && (
          <Field label={words.category}>
            {(ids) => (
              <select
                {...ids}
                value={text.category}
                onChange={(event) => set({ category: event.target.value, priority: "" })}
              >
                <option value="">{words.noCategory}</option>
                {form.categories.map((known) => (
                  <option key={known.code} value={known.code}>
                    {known.name}
                  </option>
                ))}
              </select>
            )}
          </Field>
        )}
        <Field label={words.priority}>
          {(ids) => (
            <select {...ids} value={priority} onChange={(event) => set({ priority: event.target.value })}>
              {PRIORITIES.map((word) => (
                <option key={word} value={word}>
                  {words[word]}
                </option>
              ))}
            </select>
          )}
        </Field>
      </div>
      <details className="more" open={opened.current}>
        <summary>{`${words.more} (${words.optional})`}</summary>
        <div className="pair">
          <Field label={words.asset} hint={words.assetHint} fault={faults.asset}>
            {(ids) => (
              <input
                {...ids}
                autoComplete="off"
                value={text.asset}
                onChange={(event) => set({ asset: event.target.value })}
              />
            )}
          </Field>
          <Field label={words.phone} fault={faults.phone}>
            {(ids) => (
              <input
                {...ids}
                type="tel"
                autoComplete="off"
                value={text.phone}
                onChange={(event) => set({ phone: event.target.value })}
              />
            )}
          </Field>
        </div>
      </details>
      <div className="bottom">
        <span className="soft small kept" aria-live="off">
          {drafting.kept ? <Icon name="check" /> : <Icon name="loop" />}
          {drafting.kept ? words.kept : words.keeping}
        </span>
        <span className="stretch" />
        <button type="button" className="button quiet" onClick={() => setAsking(true)}>
          {words.discard}
        </button>
        <button
          type="submit"
          className="button primary big"
          aria-disabled={busy}
          title={words.saveHint}
          aria-keyshortcuts="Control+Enter"
        >
          {busy ? words.saving : words.save}
        </button>
      </div>
      {asking && (
        <Dialog title={words.discardAsk} closeWord={words.close} onClose={() => setAsking(false)}>
          <div className="actions">
            <button type="button" className="button" onClick={() => setAsking(false)}>
              {words.discardNo}
            </button>
            <button
              type="button"
              className="button danger"
              onClick={() => {
                setAsking(false);
                void backend.discard(draft.id).then(anew);
              }}
            >
              {words.discardYes}
            </button>
          </div>
        </Dialog>
      )}
    </form>
  );
}
