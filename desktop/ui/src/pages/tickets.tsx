// The list: thousands scroll smoothly because only those in sight are drawn, and search asks the agent.
import { Icon, Mark, Notice } from "@branchline/look";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { useBackend } from "../api/backend.ts";
import type { DraftView, Situation, TicketRow } from "../api/types.ts";
import type { Place } from "../app.tsx";
import { MARKS } from "../parts/marks.ts";
import { useWords } from "../words/index.ts";

/** A row's height, in rem: fixed, so that what is not drawn is known. As in client.css. */
const ROW_REM = 4.5;
const NARROW = { width: "(max-width: 40rem)", rem: 6.5 };
/** Rows drawn beyond those in sight. */
const SPARE = 8;
/** How long a pause in typing is before a search is asked for. */
const PAUSE_MS = 200;

/** What stands in the list survives a look at a ticket. */
const remembered = { search: "", everybody: false, scroll: 0 };

export function Tickets(props: {
  go: (place: Place) => void;
  changes: number;
  drafts: DraftView[];
  situation: Situation;
}) {
  const backend = useBackend();
  const words = useWords();
  const [search, setSearch] = useState(remembered.search);
  const [everybody, setEverybody] = useState(remembered.everybody);
  const [rows, setRows] = useState<TicketRow[] | null>(null);
  const [next, setNext] = useState<number | null>(null);
  const [trouble, setTrouble] = useState<string | null>(null);
  const asked = useRef(0);
  const loading = useRef(false);
  const field = useRef<HTMLInputElement>(null);
  const { go, changes, drafts, situation } = props;
  const mine = !(everybody && situation.colleagues);
  const loaded = rows?.length ?? 0;
  const count = useRef(0);
  count.current = loaded;

  // Asks anew for as many as are shown, so that a change moves nothing that is being read.
  const load = useCallback(
    async (least: number) => {
      asked.current += 1;
      const turn = asked.current;
      try {
        let page = await backend.tickets(search, mine, null);
        const all = [...page.rows];
        while (all.length < least && page.next !== null && turn === asked.current) {
          page = await backend.tickets(search, mine, page.next);
          all.push(...page.rows);
        }
        if (turn !== asked.current) return;
        setRows(all);
        setNext(page.next);
        setTrouble(null);
      } catch (fault) {
        if (turn === asked.current) setTrouble(String(fault));
      }
    },
    [backend, search, mine],
  );

  useEffect(() => {
    remembered.search = search;
    remembered.everybody = everybody;
  }, [search, everybody]);

  // biome-ignore lint/correctness/useExhaustiveDependencies: each change is a reason to ask again
  useEffect(() => {
    const timer = setTimeout(() => void load(Math.min(count.current, 400)), count.current ? PAUSE_MS : 0);
    return () => clearTimeout(timer);
  }, [load, changes]);

  const more = useCallback(async () => {
    if (next === null || loading.current) return;
    loading.current = true;
    const turn = asked.current;
    try {
      const page = await backend.tickets(search, mine, next);
      if (turn === asked.current) {
        setRows((now) => [...(now ?? []), ...page.rows]);
        setNext(page.next);
      }
    } catch (fault) {
      setTrouble(String(fault));
    } finally {
      loading.current = false;
    }
  }, [backend, search, mine, next]);

  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "f") {
        event.preventDefault();
        field.current?.focus();
        field.current?.select();
      }
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, []);

  const empty = rows !== null && rows.length === 0;
  return (
    <section className="page list">
      <h1 className="unseen" tabIndex={-1} data-first>
        {words.tickets}
      </h1>
      <Begun drafts={drafts} go={go} />
      <div className="tools">
        <label className="search">
          <Icon name="search" />
          <span className="unseen">{words.search}</span>
          <input
            ref={field}
            type="search"
            placeholder={words.search}
            value={search}
            maxLength={200}
            onChange={(event) => setSearch(event.target.value)}
          />
        </label>
        {situation.colleagues && (
          <label className="tick">
            <input
              type="checkbox"
              checked={everybody}
              onChange={(event) => setEverybody(event.target.checked)}
            />
            {words.everybody}
          </label>
        )}
        <span className="soft small" role="status">
          {rows !== null && !empty && words.shown(rows.length, next === null)}
        </span>
      </div>
      {trouble && rows === null && (
        <Notice
          tone="warn"
          icon="alert"
          action={
            <button type="button" className="button small" onClick={() => void load(0)}>
              {words.again}
            </button>
          }
        >
          {trouble}
        </Notice>
      )}
      {empty &&
        (search.trim() ? (
          <p className="nothing">{words.notFound}</p>
        ) : (
          <div className="nothing">
            <p className="large">{words.none}</p>
            <p className="soft">{words.noneHint}</p>
            <button type="button" className="button primary big" onClick={() => go({ at: "new" })}>
              {words.newTicket}
            </button>
          </div>
        ))}
      {rows && !empty && <Rows rows={rows} whole={next === null} more={more} go={go} showReporter={!mine} />}
    </section>
  );
}

function Rows(props: {
  rows: TicketRow[];
  whole: boolean;
  more: () => void;
  go: (place: Place) => void;
  showReporter: boolean;
}) {
  const words = useWords();
  const box = useRef<HTMLUListElement>(null);
  const [sight, setSight] = useState({ first: 0, count: 20 });
  const [rem, setRem] = useState(16);
  const [rowRem, setRowRem] = useState(ROW_REM);
  const { rows, whole, more, go } = props;
  const height = rowRem * rem;

  const look = useCallback(() => {
    const list = box.current;
    if (!list) return;
    const first = Math.max(0, Math.floor(list.scrollTop / height) - SPARE);
    const count = Math.ceil(list.clientHeight / height) + 2 * SPARE;
    remembered.scroll = list.scrollTop;
    setSight((now) => (now.first === first && now.count === count ? now : { first, count }));
    if (list.scrollTop + list.clientHeight > (rows.length - SPARE) * height) more();
  }, [height, rows.length, more]);

  useEffect(() => {
    const narrow = window.matchMedia?.(NARROW.width);
    if (!narrow) return;
    const follow = () => setRowRem(narrow.matches ? NARROW.rem : ROW_REM);
    follow();
    narrow.addEventListener("change", follow);
    return () => narrow.removeEventListener("change", follow);
  }, []);
  useLayoutEffect(() => {
    setRem(Number.parseFloat(getComputedStyle(document.documentElement).fontSize) || 16);
    if (box.current) box.current.scrollTop = remembered.scroll;
  }, []);
  useEffect(() => {
    look();
    window.addEventListener("resize", look);
    return () => window.removeEventListener("resize", look);
  }, [look]);

  const step = (event: React.KeyboardEvent, place: number) => {
    const to = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined || to < 0 || to >= rows.length || !box.current) return;
    event.preventDefault();
    const list = box.current;
    const top = to * height;
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + height > list.scrollTop + list.clientHeight)
      list.scrollTop = top + height - list.clientHeight;
    look();
    requestAnimationFrame(() => list.querySelector<HTMLElement>(`[data-place="${to}"]`)?.focus());
  };

  const shown = rows.slice(sight.first, sight.first + sight.count);
  return (
    <ul className="rows" ref={box} onScroll={look} aria-label={words.tickets}>
      <li className="room" style={{ height: `${sight.first * rowRem}rem` }} aria-hidden="true" />
      {shown.map((row, offset) => {
        const place = sight.first + offset;
        const [tone, icon] = MARKS[row.mood];
        return (
          <li
            key={row.number}
            className="row"
            aria-posinset={place + 1}
            aria-setsize={whole ? rows.length : -1}
          >
            <button
              type="button"
              data-place={place}
              onClick={() => go({ at: "ticket", number: row.number })}
              onKeyDown={(event) => step(event, place)}
            >
              <span className="what">
                <span className="subject">{row.subject}</span>
                {row.unread > 0 && (
                  <Mark tone="warn" icon="reply">
                    {words.unread(row.unread)}
                  </Mark>
                )}
              </span>
              <span className="how">
                <Mark tone={tone} icon={icon}>
                  {row.standing}
                </Mark>
              </span>
              <span className="when soft small">
                <span className="mono">{row.number}</span> · {row.filed}
                {props.showReporter && ` · ${row.reporter}`}
                {row.files > 0 && ` · ${words.fileCount(row.files)}`}
                {row.replies > 0 && row.unread === 0 && ` · ${words.answers(row.replies)}`}
              </span>
            </button>
          </li>
        );
      })}
      <li
        className="room"
        style={{ height: `${Math.max(0, rows.length - sight.first - shown.length) * rowRem}rem` }}
        aria-hidden="true"
      />
    </ul>
  );
}

/** What was begun, and what waits for the agent: it must not be forgotten. */
function Begun({ drafts, go }: { drafts: DraftView[]; go: (place: Place) => void }) {
  const words = useWords();
  const backend = useBackend();
  const goOn = (draft: DraftView) => {
    if (draft.number) go({ at: "ticket", number: draft.number });
    else if (draft.on) go({ at: "ticket", number: draft.on });
    else go({ at: "new" });
  };
  if (drafts.length === 0) return null;
  return (
    <ul className="begun" aria-label={words.begun}>
      {drafts.map((draft) => {
        const files = draft.files.filter((file) => file.trouble);
        const said = draft.handed_in
          ? draft.on
            ? words.waitsOn(draft.on)
            : words.waitsNew
          : draft.on
            ? words.begunOn(draft.on)
            : words.begunNew;
        return (
          <li key={draft.id}>
            <Notice
              tone={draft.number || draft.trouble ? "bad" : draft.handed_in ? "warn" : "calm"}
              icon={draft.handed_in ? "clock" : "file"}
              action={
                <span className="actions">
                  {draft.number && !draft.handed_in ? (
                    <>
                      <button
                        type="button"
                        className="button small"
                        onClick={() => void backend.handIn(draft.id)}
                      >
                        {words.attachAgain}
                      </button>
                      <button
                        type="button"
                        className="button quiet small"
                        onClick={() => void backend.discard(draft.id)}
                      >
                        {words.discard}
                      </button>
                    </>
                  ) : (
                    !draft.handed_in && (
                      <button type="button" className="button small" onClick={() => goOn(draft)}>
                        {words.goOn}
                      </button>
                    )
                  )}
                </span>
              }
            >
              <strong>{draft.text.subject || draft.number || words.begun}</strong>{" "}
              {draft.number
                ? files.map((file) => `${file.name}: ${file.trouble}`).join(" ")
                : (draft.trouble ?? said)}
            </Notice>
          </li>
        );
      })}
    </ul>
  );
}
