// The audit trail: who did what.
import { useCallback, useEffect, useState } from "react";
import { ask } from "../../api/call.ts";
import { asFault, type Fault } from "../../api/fault.ts";
import type { TrailAnswer } from "../../api/generated.ts";
import { When } from "../../parts/marks.tsx";
import { Unavailable } from "../../parts/page.tsx";
import { useSpeech } from "../../words/index.tsx";
import { Section, Table } from "./parts.tsx";

const PAGE = 100;

interface Filter {
  actor: string;
  action: string;
  subject: string;
}
const NO_FILTER: Filter = { actor: "", action: "", subject: "" };

export function Trail() {
  const { w } = useSpeech();
  const [typed, setTyped] = useState(NO_FILTER);
  const [filter, setFilter] = useState(NO_FILTER);
  const [entries, setEntries] = useState<TrailAnswer["trail"] | null>(null);
  const [more, setMore] = useState(false);
  const [fault, setFault] = useState<Fault | null>(null);
  const load = useCallback(
    async (before: TrailAnswer["trail"]) => {
      const wanted = Object.fromEntries(Object.entries(filter).filter(([, value]) => value));
      const after = before.at(-1)?.position;
      try {
        const { trail } = await ask("Trail", {
          ...wanted,
          ...(after === undefined ? {} : { after }),
          first: PAGE,
        });
        setEntries([...before, ...trail]);
        setMore(trail.length === PAGE);
        setFault(null);
      } catch (thrown) {
        setFault(asFault(thrown));
      }
    },
    [filter],
  );
  useEffect(() => void load([]), [load]);
  const names = w.trail.column;
  return (
    <Section title={w.trail.title} lead={w.trail.lead}>
      <form
        className="filters"
        onSubmit={(event) => {
          event.preventDefault();
          setFilter({
            actor: typed.actor.trim(),
            action: typed.action.trim(),
            subject: typed.subject.trim(),
          });
        }}
      >
        {(["actor", "action", "subject"] as const).map((name) => (
          <label key={name} className="choice">
            <span className="small soft">{w.trail[name]}</span>
            <input
              value={typed[name]}
              maxLength={200}
              onChange={(event) => setTyped({ ...typed, [name]: event.target.value })}
            />
          </label>
        ))}
        <button type="submit" className="button">
          {w.trail.filter}
        </button>
      </form>
      {fault && <Unavailable fault={fault} onRetry={() => void load(entries ?? [])} />}
      {!entries && !fault && <p className="quiet-line">{w.common.loading}</p>}
      {entries && (
        <Table
          caption={`${w.trail.list} (${w.trail.oldestFirst})`}
          columns={["№", names.at, names.actor, names.action, names.subject, names.detail, names.address]}
          none={w.trail.none}
          empty={entries.length === 0}
        >
          {entries.map((entry) => (
            <tr key={entry.position}>
              <td>{entry.position}</td>
              <td>
                <When at={entry.at} />
              </td>
              <td>{entry.actor}</td>
              <td className="nowrap">{entry.action}</td>
              <td className="breaking">{entry.subject}</td>
              <td className="breaking">{entry.detail}</td>
              <td>{entry.address}</td>
            </tr>
          ))}
        </Table>
      )}
      {more && (
        <div className="list-end">
          <button type="button" className="button" onClick={() => void load(entries ?? [])}>
            {w.common.more}
          </button>
        </div>
      )}
    </Section>
  );
}
