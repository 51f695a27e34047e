// What branches choose from when they file. It is edited as a whole and published as a whole, under the
// version that was seen.
import { Field, Mark, Notice } from "@branchline/look";
import { useEffect, useRef, useState } from "react";
import { rest } from "../../api/call.ts";
import { asFault } from "../../api/fault.ts";
import { type Catalogue, type Category, useDesk } from "../../desk.tsx";
import { faultWords } from "../../parts/fault-words.ts";
import { useLoaded } from "../../parts/loaded.ts";
import { Unavailable } from "../../parts/page.tsx";
import { LANGUAGES, type Language, useSpeech } from "../../words/index.tsx";
import { PRIORITIES } from "../inbox/filters.ts";
import { Section } from "./parts.tsx";

const MIB = 1024 * 1024;
const CODES = Object.keys(LANGUAGES) as Language[];

/** A category while it is edited: it may have no code yet, so it has a key. */
interface Row extends Category {
  key: string;
}

interface Draft {
  serial: number;
  fileMib: string;
  rows: Row[];
}

const get = () => rest<Catalogue>("GET", "catalogue");

function draftOf(catalogue: Catalogue): Draft {
  return {
    serial: catalogue.serial,
    fileMib: catalogue.file_bytes ? String(Math.round(catalogue.file_bytes / MIB)) : "",
    rows: (catalogue.categories ?? []).map((category) => ({ ...category, key: crypto.randomUUID() })),
  };
}

const filled = (texts: Record<string, string> | undefined) =>
  Object.fromEntries(Object.entries(texts ?? {}).filter(([, text]) => text.trim()));

function catalogueOf(draft: Draft, serial: number): Catalogue {
  const mib = Number(draft.fileMib);
  return {
    serial,
    categories: draft.rows.map(({ code, name, hint, priority }) => ({
      code: code.trim(),
      name: filled(name),
      ...(Object.keys(filled(hint)).length > 0 ? { hint: filled(hint) } : {}),
      ...(priority ? { priority } : {}),
    })),
    ...(draft.fileMib && mib > 0 ? { file_bytes: Math.round(mib * MIB) } : {}),
  };
}

export function CatalogueEditor() {
  const { w } = useSpeech();
  const desk = useDesk();
  const loaded = useLoaded(get);
  const [draft, setDraft] = useState<Draft | null>(null);
  const [edited, setEdited] = useState(false);
  const [fault, setFault] = useState("");
  const [stale, setStale] = useState<number | null>(null);
  const newest = useRef<string | null>(null);
  useEffect(() => {
    if (loaded.value) {
      setDraft(draftOf(loaded.value));
      setEdited(false);
      setStale(null);
    }
  }, [loaded.value]);

  const change = (to: Partial<Draft>) => {
    if (!draft) return;
    setDraft({ ...draft, ...to });
    setEdited(true);
  };
  const row = (key: string, to: Partial<Row>) =>
    draft && change({ rows: draft.rows.map((one) => (one.key === key ? { ...one, ...to } : one)) });
  const publish = async (serial: number) => {
    if (!draft) return;
    setFault("");
    try {
      const answer = await rest<{ serial?: number } | undefined>(
        "PUT",
        "catalogue",
        catalogueOf(draft, serial),
      );
      desk.say(w.catalogue.published(answer?.serial ?? serial + 1));
      await loaded.reload();
    } catch (thrown) {
      const fault = asFault(thrown);
      if (fault.status === 409 && fault.version !== undefined) setStale(fault.version);
      else setFault(faultWords(w, fault));
    }
  };
  const add = () => {
    const key = crypto.randomUUID();
    newest.current = key;
    if (draft) change({ rows: [...draft.rows, { key, code: "", name: { en: "" } }] });
  };
  const swap = (place: number, by: 1 | -1) => {
    if (!draft) return;
    const rows = [...draft.rows];
    const [moved] = rows.splice(place, 1);
    if (moved) rows.splice(place + by, 0, moved);
    change({ rows });
  };
  return (
    <Section title={w.catalogue.title} lead={w.catalogue.lead}>
      {loaded.fault && <Unavailable fault={loaded.fault} onRetry={() => void loaded.reload()} />}
      {draft && (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            void publish(draft.serial);
          }}
        >
          <p>
            <Mark>{w.catalogue.serial(draft.serial)}</Mark>{" "}
            {edited && <Mark tone="warn">{w.catalogue.unsaved}</Mark>}
          </p>
          {stale !== null && (
            <Notice
              tone="warn"
              icon="alert"
              urgent
              action={
                <span className="actions">
                  <button type="button" className="button small" onClick={() => void loaded.reload()}>
                    {w.catalogue.loadTheirs}
                  </button>
                  <button type="button" className="button small" onClick={() => void publish(stale)}>
                    {w.catalogue.keepMine}
                  </button>
                </span>
              }
            >
              {w.catalogue.stale}
            </Notice>
          )}
          <Field label={w.catalogue.fileBytes} hint={w.catalogue.fileBytesHint}>
            {(ids) => (
              <input
                {...ids}
                type="number"
                min={1}
                className="short"
                value={draft.fileMib}
                onChange={(event) => change({ fileMib: event.target.value })}
              />
            )}
          </Field>
          <h2>{w.catalogue.categories}</h2>
          {draft.rows.length === 0 && <p className="soft">{w.catalogue.none}</p>}
          <ol className="categories">
            {draft.rows.map((one, place) => (
              <CategoryEditor
                key={one.key}
                row={one}
                place={place}
                last={place === draft.rows.length - 1}
                fresh={newest.current === one.key}
                onChange={(to) => row(one.key, to)}
                onMove={(by) => swap(place, by)}
                onRemove={() => change({ rows: draft.rows.filter((other) => other.key !== one.key) })}
              />
            ))}
          </ol>
          {fault && (
            <p className="fault-line" role="alert">
              {fault}
            </p>
          )}
          <div className="actions start">
            <button type="button" className="button" onClick={add}>
              {w.catalogue.add}
            </button>
            <button type="submit" className="button primary" aria-disabled={!edited}>
              {w.catalogue.publish}
            </button>
          </div>
        </form>
      )}
    </Section>
  );
}

function CategoryEditor(props: {
  row: Row;
  place: number;
  last: boolean;
  fresh: boolean;
  onChange: (to: Partial<Row>) => void;
  onMove: (by: 1 | -1) => void;
  onRemove: () => void;
}) {
  const { w } = useSpeech();
  const { row, place, onChange, fresh } = props;
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (fresh) first.current?.focus();
  }, [fresh]);
  const named = row.name.en || row.code || w.catalogue.category(place + 1);
  return (
    <li>
      <fieldset className="category">
        <legend>{named}</legend>
        <Field label={w.catalogue.code} hint={w.catalogue.codeHint}>
          {(ids) => (
            <input
              {...ids}
              ref={first}
              required
              pattern="[a-z0-9\-]{1,60}"
              value={row.code}
              onChange={(event) => onChange({ code: event.target.value })}
            />
          )}
        </Field>
        <Field label={w.catalogue.priority}>
          {(ids) => (
            <select
              {...ids}
              value={row.priority ?? ""}
              onChange={(event) => {
                const { value } = event.target;
                onChange(value ? { priority: value } : { priority: "" });
              }}
            >
              <option value="">{w.catalogue.noPriority}</option>
              {PRIORITIES.map((priority) => (
                <option key={priority} value={priority.toLowerCase()}>
                  {w.priority[priority]}
                </option>
              ))}
            </select>
          )}
        </Field>
        <div className="category-do">
          <button
            type="button"
            className="button small"
            aria-label={w.catalogue.up(named)}
            aria-disabled={place === 0}
            onClick={() => place > 0 && props.onMove(-1)}
          >
            ↑
          </button>
          <button
            type="button"
            className="button small"
            aria-label={w.catalogue.down(named)}
            aria-disabled={props.last}
            onClick={() => !props.last && props.onMove(1)}
          >
            ↓
          </button>
          <button
            type="button"
            className="button small danger"
            aria-label={w.catalogue.removeName(named)}
            onClick={props.onRemove}
          >
            {w.common.remove}
          </button>
        </div>
        {CODES.map((code) => (
          <Field key={code} label={w.catalogue.name(LANGUAGES[code])}>
            {(ids) => (
              <input
                {...ids}
                lang={code}
                required={code === "en"}
                maxLength={60}
                value={row.name[code] ?? ""}
                onChange={(event) => onChange({ name: { ...row.name, [code]: event.target.value } })}
              />
            )}
          </Field>
        ))}
        {CODES.map((code) => (
          <Field key={code} label={w.catalogue.hint(LANGUAGES[code])}>
            {(ids) => (
              <textarea
                {...ids}
                lang={code}
                rows={2}
                maxLength={500}
                value={row.hint?.[code] ?? ""}
                onChange={(event) => onChange({ hint: { ...row.hint, [code]: event.target.value } })}
              />
            )}
          </Field>
        ))}
      </fieldset>
    </li>
  );
}
