// The list itself: a table with one link in each row, so that a screen reader can walk it by column and a
// keyboard by link; a click anywhere in the row opens it.
import { Icon, Mark, Notice } from "@branchline/look";
import type { MouseEvent } from "react";
import type { Summary } from "../../api/generated.ts";
import { useDesk } from "../../desk.tsx";
import { faultWords } from "../../parts/fault-words.ts";
import { Ago, categoryName, PriorityMark, StateMark } from "../../parts/marks.tsx";
import { useNow } from "../../parts/now.ts";
import { go, href } from "../../route.ts";
import { useSpeech } from "../../words/index.tsx";
import { nextDue } from "./due.ts";
import { belongs, type Filters } from "./filters.ts";
import type { InboxView } from "./store.ts";

export function Rows(props: {
  view: InboxView;
  filters: Filters;
  onMore: () => void;
  onMark: (number: string) => void;
}) {
  const { w } = useSpeech();
  const desk = useDesk();
  const { view } = props;
  if (view.fault && view.rows.length === 0) {
    return (
      <Notice
        tone="bad"
        icon="alert"
        urgent
        action={
          <button type="button" className="button small" onClick={() => void desk.inbox.refresh()}>
            {w.common.retry}
          </button>
        }
      >
        {faultWords(w, view.fault)}
      </Notice>
    );
  }
  if (view.loading === "first" && view.rows.length === 0)
    return <p className="quiet-line">{w.common.loading}</p>;
  if (view.rows.length === 0) {
    return (
      <div className="empty">
        <p>{props.filters.search ? w.inbox.emptySearch : w.inbox.empty}</p>
        <p className="soft">{w.inbox.emptyHint}</p>
      </div>
    );
  }
  return (
    <>
      <table className="tickets" aria-busy={view.loading === "first"}>
        <caption className="unseen">{w.inbox.table}</caption>
        <thead>
          <tr>
            <th scope="col">{w.inbox.column.priority}</th>
            <th scope="col">{w.inbox.column.subject}</th>
            <th scope="col">{w.inbox.column.branch}</th>
            <th scope="col">{w.inbox.column.state}</th>
            <th scope="col">{w.inbox.column.assignee}</th>
            <th scope="col">{w.inbox.column.due}</th>
            <th scope="col">{w.inbox.column.received}</th>
          </tr>
        </thead>
        <tbody>
          {view.rows.map((ticket) => (
            <TicketRow
              key={ticket.number}
              ticket={ticket}
              current={ticket.number === view.current}
              gone={!belongs(ticket, props.filters, desk.me.name)}
              onMark={props.onMark}
            />
          ))}
        </tbody>
      </table>
      <div className="list-end">
        {view.fault && <p className="fault-line">{faultWords(w, view.fault)}</p>}
        {view.next ? (
          <button
            type="button"
            data-more
            className="button"
            aria-disabled={view.loading === "more"}
            onClick={props.onMore}
          >
            {view.loading === "more" ? w.common.loading : w.common.more}
          </button>
        ) : (
          <p className="soft small">{w.inbox.end(view.rows.length)}</p>
        )}
      </div>
    </>
  );
}

function TicketRow(props: {
  ticket: Summary;
  current: boolean;
  gone: boolean;
  onMark: (number: string) => void;
}) {
  const { w, language } = useSpeech();
  const { categories } = useDesk();
  const { ticket } = props;
  const address = href(["tickets", ticket.number]);
  const open = (event: MouseEvent<HTMLTableRowElement>) => {
    const other = event.target instanceof Element && event.target.closest("a, button");
    if (other || window.getSelection()?.toString()) return;
    props.onMark(ticket.number);
    go(address);
  };
  return (
    <tr
      onClick={open}
      className={[
        ticket.state === "NEW" ? "fresh" : "",
        props.gone ? "gone" : "",
        props.current ? "current" : "",
      ].join(" ")}
    >
      <td className="priority">
        <PriorityMark priority={ticket.priority} />
      </td>
      <td className="what">
        <a
          href={address}
          data-ticket={ticket.number}
          data-current={props.current}
          onFocus={() => props.onMark(ticket.number)}
        >
          <span className="number">{ticket.number}</span> <span className="subject">{ticket.subject}</span>
        </a>
        <span className="about">
          <span>{ticket.reporter}</span>
          {ticket.category && <span>{categoryName(categories, ticket.category, language)}</span>}
          <Counts ticket={ticket} />
          {ticket.tags.map((tag) => (
            <span key={tag} className="tag">
              {tag}
            </span>
          ))}
          <span className="when-narrow">
            <DueMark ticket={ticket} />
          </span>
          {props.gone && <Mark>{w.inbox.moved}</Mark>}
        </span>
      </td>
      <td className="branch">{ticket.branch}</td>
      <td className="state">
        <StateMark state={ticket.state} />
      </td>
      <td className="assignee">{ticket.assignee ?? <span className="soft">{w.common.nobody}</span>}</td>
      <td className="due">
        <DueMark ticket={ticket} />
      </td>
      <td className="received">
        <Ago at={ticket.receivedAt} />
      </td>
    </tr>
  );
}

function Counts({ ticket }: { ticket: Summary }) {
  const { w } = useSpeech();
  return (
    <>
      {ticket.comments > 0 && <span>{w.inbox.comments(ticket.comments)}</span>}
      {ticket.replies > 0 && (
        <span className="with-icon">
          <Icon name="reply" />
          {w.inbox.replies(ticket.replies)}
        </span>
      )}
      {ticket.files > 0 && (
        <span className="with-icon">
          <Icon name="file" />
          {w.inbox.files(ticket.files)}
        </span>
      )}
    </>
  );
}

function DueMark({ ticket }: { ticket: Summary }) {
  const speech = useSpeech();
  const { w } = speech;
  const now = useNow();
  const due = nextDue(ticket, now);
  if (!due) return null;
  const ago = speech.ago(due.at, now);
  return (
    <Mark
      tone={due.urgency === "OVERDUE" ? "bad" : due.urgency === "SOON" ? "warn" : "plain"}
      {...(due.urgency ? { icon: "clock" as const } : {})}
    >
      <time dateTime={due.at} title={`${w.inbox[due.goal]}: ${speech.when(due.at)}`}>
        {due.urgency === "OVERDUE" ? w.inbox.overdue(ago) : ago}
      </time>
    </Mark>
  );
}
