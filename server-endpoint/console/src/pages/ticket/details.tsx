// What is known of a ticket, beside its timeline, and the commands that change it.
import { Dialog, Field } from "@branchline/look";
import { type ReactNode, useRef, useState } from "react";
import type { Priority } from "../../api/generated.ts";
import { useDesk } from "../../desk.tsx";
import { categoryName, When } from "../../parts/marks.tsx";
import { useNow } from "../../parts/now.ts";
import { href } from "../../route.ts";
import { useSpeech } from "../../words/index.tsx";
import { PRIORITIES } from "../inbox/filters.ts";
import type { TicketCommand, TicketDesk, TicketView } from "./use-ticket.ts";

const TARGETS = ["OPEN", "WAITING", "RESOLVED", "CLOSED"] as const;

export function Details(props: { ticket: TicketView; page: TicketDesk; onAssignMe: () => void }) {
  const { w, when } = useSpeech();
  const desk = useDesk();
  const { ticket, page } = props;
  const { summary } = ticket;
  const [merging, setMerging] = useState(false);
  const changeable = desk.may("REPLY") && summary.state !== "MERGED" && summary.state !== "WITHDRAWN";
  const give = async (command: TicketCommand) => {
    if (page.busy) return false;
    const outcome = await page.command(command);
    if (outcome.done) desk.say(w.ticket.saved);
    else desk.complain(outcome.fault);
    return outcome.done;
  };
  return (
    <aside className="details" aria-labelledby="details-title">
      <h2 id="details-title">{w.ticket.details}</h2>
      {changeable && (
        <Changing
          ticket={ticket}
          give={give}
          onAssignMe={props.onAssignMe}
          onMerge={() => setMerging(true)}
        />
      )}
      <dl>
        {!changeable && <Fact name={w.ticket.assignee}>{summary.assignee ?? w.common.nobody}</Fact>}
        {!changeable && summary.tags.length > 0 && (
          <Fact name={w.ticket.tags}>{summary.tags.join(", ")}</Fact>
        )}
        <Goals ticket={ticket} />
        <Fact name={w.ticket.contact}>{ticket.contact || w.common.unknown}</Fact>
        {ticket.asset && <Fact name={w.ticket.asset}>{ticket.asset}</Fact>}
        <Fact name={w.ticket.branch}>
          <a href={href(["branches"], { find: summary.branch })}>{summary.branch}</a>
        </Fact>
        <Fact name={w.ticket.filedAt}>
          {when(summary.filedAt)} <span className="soft small">({w.ticket.clocks})</span>
        </Fact>
        <Fact name={w.ticket.receivedAt}>
          <When at={summary.receivedAt} />
        </Fact>
        {ticket.merged.length > 0 && (
          <Fact name={w.ticket.mergedFrom}>
            {ticket.merged.map((number) => (
              <a key={number} href={href(["tickets", number])}>
                {number}{" "}
              </a>
            ))}
          </Fact>
        )}
      </dl>
      {merging && <MergeDialog number={summary.number} give={give} onClose={() => setMerging(false)} />}
    </aside>
  );
}

function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

function Goals({ ticket }: { ticket: TicketView }) {
  const { w, when } = useSpeech();
  const now = useNow();
  const service = ticket.summary.service;
  if (!service) return null;
  const words = (due: string, done: string | null) => {
    if (done)
      return Date.parse(done) <= Date.parse(due) ? w.ticket.met(when(done)) : w.ticket.missed(when(done));
    return Date.parse(due) < now ? w.ticket.overdueSince(when(due)) : w.ticket.due(when(due));
  };
  const late = (due: string, done: string | null) => (done ? Date.parse(done) : now) > Date.parse(due);
  const goals: Array<[string, string | null, string | null, string | null]> = [
    [w.ticket.firstAnswer, service.firstAnswerDue, service.firstAnswerDueFromFiling, service.firstAnsweredAt],
    [w.ticket.resolution, service.resolutionDue, service.resolutionDueFromFiling, service.resolvedAt],
  ];
  const paused = service.paused && !service.resolutionDue;
  return (
    <>
      {goals.map(
        ([name, due, fromFiling, done]) =>
          (due || fromFiling) && (
            <Fact key={name} name={name}>
              {due && <span className={late(due, done) ? "late" : ""}>{words(due, done)}</span>}
              {fromFiling && fromFiling !== due && (
                <span className={`from-filing small ${late(fromFiling, done) ? "late" : "soft"}`}>
                  {w.ticket.fromFiling(words(fromFiling, done))}
                </span>
              )}
            </Fact>
          ),
      )}
      {paused && <Fact name={w.ticket.resolution}>{w.ticket.paused}</Fact>}
    </>
  );
}

/** What is chosen and not applied yet. A list changes nothing by itself: arrow keys walk through it. */
interface Edits {
  state?: string;
  assignee?: string;
  priority?: Priority;
  category?: string;
  tags?: string;
}

function commandsOf(
  edits: Edits,
  summary: TicketView["summary"],
): Array<[Array<keyof Edits>, TicketCommand]> {
  const commands: Array<[Array<keyof Edits>, TicketCommand]> = [];
  if (edits.priority !== undefined || edits.category !== undefined) {
    const priority = (edits.priority ?? summary.priority).toLowerCase();
    const category = edits.category ?? summary.category;
    commands.push([["priority", "category"], { kind: "classify", priority, category }]);
  }
  if (edits.assignee !== undefined)
    commands.push([["assignee"], { kind: "assign", to: edits.assignee || null }]);
  if (edits.tags !== undefined) {
    const wanted = edits.tags.split(",").map((tag) => tag.trim());
    commands.push([["tags"], { kind: "tag", tags: [...new Set(wanted.filter(Boolean))] }]);
  }
  if (edits.state) commands.push([["state"], { kind: "move", to: edits.state.toLowerCase() }]);
  return commands;
}

function Changing(props: {
  ticket: TicketView;
  give: (command: TicketCommand) => Promise<boolean>;
  onAssignMe: () => void;
  onMerge: () => void;
}) {
  const { w, language } = useSpeech();
  const desk = useDesk();
  const { summary } = props.ticket;
  const [edits, setEdits] = useState<Edits>({});
  const present: Required<Edits> = {
    state: "",
    assignee: summary.assignee ?? "",
    priority: summary.priority,
    category: summary.category,
    tags: summary.tags.join(", "),
  };
  const set = <Key extends keyof Edits>(key: Key, value: Required<Edits>[Key]) => {
    const { [key]: _former, ...others } = edits;
    setEdits(value === present[key] ? others : { ...others, [key]: value });
  };
  const apply = async () => {
    for (const [keys, command] of commandsOf(edits, summary)) {
      if (!(await props.give(command))) return;
      setEdits((before) => {
        const left = { ...before };
        for (const key of keys) delete left[key];
        return left;
      });
    }
  };
  const people = [
    ...new Set([...desk.people, desk.me.name, ...(summary.assignee ? [summary.assignee] : [])]),
  ].sort();
  const codes = [...new Set([...desk.categories.map((category) => category.code), summary.category])];
  const edited = Object.keys(edits).length > 0;
  return (
    <form
      className="changing"
      onSubmit={(event) => {
        event.preventDefault();
        void apply();
      }}
    >
      <Field label={w.ticket.state}>
        {(ids) => (
          <select {...ids} value={edits.state ?? ""} onChange={(event) => set("state", event.target.value)}>
            <option value="">{w.state[summary.state]}</option>
            {TARGETS.filter((to) => to !== summary.state).map((to) => (
              <option key={to} value={to}>
                → {w.ticket.moveTo[to]}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label={w.ticket.assignee}>
        {(ids) => (
          <select
            {...ids}
            value={edits.assignee ?? present.assignee}
            onChange={(event) => set("assignee", event.target.value)}
          >
            <option value="">{w.common.nobody}</option>
            {people.map((name) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        )}
      </Field>
      <Field label={w.ticket.priority}>
        {(ids) => (
          <select
            {...ids}
            value={edits.priority ?? present.priority}
            onChange={(event) => set("priority", event.target.value as Priority)}
          >
            {PRIORITIES.map((priority) => (
              <option key={priority} value={priority}>
                {w.priority[priority]}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label={w.ticket.category}>
        {(ids) => (
          <select
            {...ids}
            value={edits.category ?? present.category}
            onChange={(event) => set("category", event.target.value)}
          >
            {codes.map((code) => (
              <option key={code} value={code}>
                {code ? categoryName(desk.categories, code, language) : w.common.none}
              </option>
            ))}
          </select>
        )}
      </Field>
      <div className="full">
        <Field label={w.ticket.tags} hint={w.ticket.tagsHint}>
          {(ids) => (
            <input
              {...ids}
              value={edits.tags ?? present.tags}
              onChange={(event) => set("tags", event.target.value)}
            />
          )}
        </Field>
      </div>
      <div className="changing-foot">
        <button type="submit" className={edited ? "button primary" : "button"} aria-disabled={!edited}>
          {w.ticket.apply}
        </button>
        {summary.assignee !== desk.me.name && (
          <button type="button" className="button" onClick={props.onAssignMe}>
            {w.ticket.assignMe}
          </button>
        )}
        <button type="button" className="button" onClick={props.onMerge}>
          {w.ticket.merge}
        </button>
      </div>
    </form>
  );
}

function MergeDialog(props: {
  number: string;
  give: (command: TicketCommand) => Promise<boolean>;
  onClose: () => void;
}) {
  const { w } = useSpeech();
  const [into, setInto] = useState("");
  const first = useRef<HTMLInputElement>(null);
  return (
    <Dialog title={w.ticket.mergeTitle} closeWord={w.common.close} onClose={props.onClose} first={first}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          if (!into.trim()) return;
          void props
            .give({ kind: "merge", into: into.trim().toUpperCase() })
            .then((done) => done && props.onClose());
        }}
      >
        <p>{w.ticket.mergeLead(props.number)}</p>
        <Field label={w.ticket.mergeInto}>
          {(ids) => (
            <input
              {...ids}
              ref={first}
              required
              maxLength={40}
              value={into}
              onChange={(event) => setInto(event.target.value)}
            />
          )}
        </Field>
        <div className="actions">
          <button type="button" className="button" onClick={props.onClose}>
            {w.common.cancel}
          </button>
          <button type="submit" className="button primary">
            {w.ticket.mergeDo}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
