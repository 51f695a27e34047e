// The inbox: which tickets there are, newest first, and what arrives meanwhile. Nothing that one reads moves.
import { Icon, Notice } from "@branchline/look";
import { useEffect, useRef, useState, useSyncExternalStore } from "react";
import type { Due, TicketState } from "../../api/generated.ts";
import { useDesk } from "../../desk.tsx";
import { faultWords } from "../../parts/fault-words.ts";
import { categoryName } from "../../parts/marks.tsx";
import { usePageTitle } from "../../parts/page.tsx";
import { useShortcuts } from "../../parts/shortcuts.tsx";
import { go, href } from "../../route.ts";
import { useSpeech } from "../../words/index.tsx";
import { DUES, type Filters, filtersOf, PRIORITIES, queryOf, STATES, VIEWS, type View } from "./filters.ts";
import { Rows } from "./rows.tsx";

export function Inbox({ query }: { query: URLSearchParams }) {
  const { w } = useSpeech();
  const desk = useDesk();
  const store = desk.inbox;
  const view = useSyncExternalStore(store.subscribe, store.view);
  const list = useRef<HTMLDivElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const filters = filtersOf(query);
  const asked = queryOf(filters).toString();
  const heading = usePageTitle(w.inbox.title, { focus: view.current === null });

  // biome-ignore lint/correctness/useExhaustiveDependencies: `asked` is the filters, as one text
  useEffect(() => void store.show(filters), [store, asked]);
  useEffect(() => {
    if (store.view().current) focusCurrent(list.current);
  }, [store]);

  const choose = (change: Partial<Filters>) => go(href([], queryOf({ ...filters, ...change })), true);
  const showArrived = async () => {
    await store.refresh();
    heading.current?.focus();
    window.scrollTo({ top: 0 });
  };
  useShortcuts({
    j: () => step(list.current, 1),
    k: () => step(list.current, -1),
    "/": () => search.current?.focus(),
    ".": () => void showArrived(),
  });

  return (
    <div className="inbox">
      <div className="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {w.inbox.title}
        </h1>
        <SearchBox field={search} value={filters.search} onSearch={(text) => choose({ search: text })} />
      </div>
      <Views filters={filters} />
      <FilterBar filters={filters} choose={choose} />
      <Arrivals onShow={() => void showArrived()} />
      <div ref={list}>
        <Rows view={view} filters={filters} onMore={() => void store.more()} onMark={(n) => store.mark(n)} />
      </div>
      <p className="unseen" role="status">
        {view.loading === "first"
          ? ""
          : view.fault
            ? faultWords(w, view.fault)
            : w.inbox.shown(view.rows.length)}
      </p>
    </div>
  );
}

function links(list: HTMLElement | null): HTMLElement[] {
  return [...(list?.querySelectorAll<HTMLElement>("a[data-ticket], button[data-more]") ?? [])];
}

function focusCurrent(list: HTMLElement | null): void {
  list?.querySelector<HTMLElement>('a[data-ticket][data-current="true"]')?.focus();
}

/** The next or former row; from nowhere, the one that was last looked at. */
function step(list: HTMLElement | null, by: 1 | -1): void {
  const all = links(list);
  const at = all.indexOf(document.activeElement as HTMLElement);
  const marked = all.findIndex((link) => link.dataset.current === "true");
  const from = at >= 0 ? at + by : Math.max(0, marked);
  const next = all[Math.max(0, Math.min(all.length - 1, from))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function SearchBox(props: {
  field: React.RefObject<HTMLInputElement | null>;
  value: string;
  onSearch: (text: string) => void;
}) {
  const { w } = useSpeech();
  const [text, setText] = useState(props.value);
  useEffect(() => setText(props.value), [props.value]);
  return (
    <search>
      <form
        className="search"
        onSubmit={(event) => {
          event.preventDefault();
          props.onSearch(text.trim());
        }}
      >
        <Icon name="search" />
        <input
          ref={props.field}
          type="search"
          aria-label={w.inbox.search}
          placeholder={w.inbox.searchHint}
          value={text}
          maxLength={200}
          onChange={(event) => {
            setText(event.target.value);
            if (!event.target.value && props.value) props.onSearch("");
          }}
        />
        <button type="submit" className="button">
          {w.inbox.search}
        </button>
      </form>
    </search>
  );
}

const COUNTED: Partial<Record<View, TicketState[]>> = {
  todo: ["NEW", "OPEN"],
  new: ["NEW"],
  waiting: ["WAITING"],
  resolved: ["RESOLVED"],
};

function Views({ filters }: { filters: Filters }) {
  const { w, number } = useSpeech();
  const { tally } = useDesk();
  const count = (view: View) => {
    const states = COUNTED[view];
    if (!states) return null;
    const inView = tally.filter(
      (one) => states.includes(one.state) && (!filters.branch || one.branch === filters.branch),
    );
    return number(inView.reduce((sum, one) => sum + one.tickets, 0));
  };
  return (
    <nav className="views" aria-label={w.inbox.views}>
      <ul>
        {VIEWS.map((view) => {
          const n = count(view);
          return (
            <li key={view}>
              <a
                href={href([], queryOf({ ...filters, view, state: "" }))}
                aria-current={view === filters.view && !filters.state ? "true" : undefined}
              >
                {w.inbox.view[view]}
                {n !== null && <span className="count">{n}</span>}
              </a>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

function FilterBar({ filters, choose }: { filters: Filters; choose: (change: Partial<Filters>) => void }) {
  const { w, language } = useSpeech();
  const { tally, people, categories } = useDesk();
  const branches = [...new Set(tally.map((one) => one.branch))].sort();
  const filtered =
    filters.branch ||
    filters.state ||
    filters.priority ||
    filters.assignee ||
    filters.category ||
    filters.due ||
    filters.tag;
  return (
    <fieldset className="filters">
      <legend className="unseen">{w.inbox.filters}</legend>
      <Choice
        name={w.inbox.branch}
        any={w.inbox.anyBranch}
        value={filters.branch}
        options={branches.map(same)}
        onChoose={(branch) => choose({ branch })}
      />
      <Choice
        name={w.inbox.state}
        any={w.inbox.ofView}
        value={filters.state}
        options={STATES.map((s) => [s, w.state[s]])}
        onChoose={(state) => choose({ state: state as TicketState })}
      />
      <Choice
        name={w.inbox.priority}
        any={w.inbox.anyPriority}
        value={filters.priority}
        options={PRIORITIES.map((p) => [p, w.priority[p]])}
        onChoose={(p) => choose({ priority: p as Filters["priority"] })}
      />
      {filters.view !== "mine" && filters.view !== "unassigned" && (
        <Choice
          name={w.inbox.assignee}
          any={w.inbox.anyAssignee}
          value={filters.assignee}
          options={people.map(same)}
          onChoose={(assignee) => choose({ assignee })}
        />
      )}
      <Choice
        name={w.inbox.category}
        any={w.inbox.anyCategory}
        value={filters.category}
        options={categories.map((c) => [c.code, categoryName(categories, c.code, language)])}
        onChoose={(category) => choose({ category })}
      />
      <Choice
        name={w.inbox.column.due}
        any={w.inbox.anyDue}
        value={filters.due}
        options={DUES.map((due) => [due, w.inbox.dueWithin[due]])}
        onChoose={(due) => choose({ due: due as Due | "" })}
      />
      {filters.tag && (
        <button type="button" className="button small" onClick={() => choose({ tag: "" })}>
          <Icon name="tag" />
          {filters.tag}
          <Icon name="close" />
          <span className="unseen">{w.common.remove}</span>
        </button>
      )}
      {filtered && (
        <button
          type="button"
          className="button quiet small"
          onClick={() =>
            choose({ branch: "", state: "", priority: "", assignee: "", category: "", tag: "", due: "" })
          }
        >
          {w.inbox.clear}
        </button>
      )}
    </fieldset>
  );
}

const same = (value: string): [string, string] => [value, value];

function Choice(props: {
  name: string;
  any: string;
  value: string;
  options: Array<[string, string]>;
  onChoose: (value: string) => void;
}) {
  // What the address asks for is shown as chosen, even where it is not among the names known so far.
  const known = props.options.some(([value]) => value === props.value);
  const options = props.value && !known ? [same(props.value), ...props.options] : props.options;
  return (
    <label className={props.value ? "choice chosen" : "choice"}>
      <span className="small soft">{props.name}</span>
      <select value={props.value} onChange={(event) => props.onChoose(event.target.value)}>
        <option value="">{props.any}</option>
        {options.map(([value, word]) => (
          <option key={value} value={value}>
            {word}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The region is always there, so that a screen reader hears what comes into it. */
function Arrivals({ onShow }: { onShow: () => void }) {
  const { w } = useSpeech();
  const { inbox } = useDesk();
  const { arrived, searchStale } = useSyncExternalStore(inbox.subscribe, inbox.view);
  const latest = arrived[0];
  return (
    <div className="arrivals" aria-live="polite">
      {latest ? (
        <Notice
          tone="calm"
          icon="down"
          action={
            <button type="button" className="button small" onClick={onShow}>
              {w.inbox.arrivedShow}
            </button>
          }
        >
          {w.inbox.arrived(arrived.length, `${latest.number} ${latest.subject}`)}
        </Notice>
      ) : (
        searchStale && (
          <Notice
            tone="calm"
            icon="loop"
            action={
              <button type="button" className="button small" onClick={onShow}>
                {w.common.refresh}
              </button>
            }
          >
            {w.inbox.searchStale}
          </Notice>
        )
      )}
    </div>
  );
}
