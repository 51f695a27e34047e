// One ticket: what was filed, what happened since, what is known of it, and what to answer.
import { Icon, Notice } from "@branchline/look";
import { useEffect, useRef, useState } from "react";
import { useDesk } from "../../desk.tsx";
import { PriorityMark, StateMark, When } from "../../parts/marks.tsx";
import { Unavailable, usePageTitle } from "../../parts/page.tsx";
import { useShortcuts } from "../../parts/shortcuts.tsx";
import { go, href } from "../../route.ts";
import { useSpeech } from "../../words/index.tsx";
import { queryOf } from "../inbox/filters.ts";
import { Composer, type ComposerHandle } from "./composer.tsx";
import { Details } from "./details.tsx";
import { Timeline } from "./timeline.tsx";
import { useTicket } from "./use-ticket.ts";

export function TicketPage({ number }: { number: string }) {
  const { w } = useSpeech();
  const desk = useDesk();
  const page = useTicket(number);
  const { ticket } = page;
  const composer = useRef<ComposerHandle>(null);
  const heading = usePageTitle(ticket ? `${number} ${ticket.summary.subject}` : number);
  const filters = desk.inbox.view().filters;
  const back = href([], filters ? queryOf(filters) : undefined);
  const beside = (by: 1 | -1) => desk.inbox.beside(number, by);
  const goBeside = (by: 1 | -1) => {
    const other = beside(by);
    if (!other) return;
    desk.inbox.mark(other.number);
    go(href(["tickets", other.number]), true);
  };
  const assignToMe = async () => {
    if (!desk.may("REPLY") || ticket?.summary.assignee === desk.me.name) return;
    const outcome = await page.command({ kind: "assign", to: desk.me.name });
    if (outcome.done) desk.say(w.ticket.saved);
    else desk.complain(outcome.fault);
  };
  useShortcuts({
    j: () => goBeside(1),
    k: () => goBeside(-1),
    u: () => go(back),
    r: () => composer.current?.write("reply"),
    n: () => composer.current?.write("note"),
    a: () => void assignToMe(),
  });
  // Positions after this came while the page was open.
  const seen = useSeen(ticket?.timeline.at(-1)?.position ?? 0, ticket !== null);

  if (page.missing) {
    return (
      <div className="empty">
        <h1 ref={heading} tabIndex={-1}>
          {w.common.notFound}
        </h1>
        <p className="soft">{w.common.notFoundHint}</p>
        <a href={back}>{w.common.toInbox}</a>
      </div>
    );
  }
  return (
    <article className="ticket">
      <nav className="crumbs" aria-label={w.ticket.back}>
        <a href={back} className="with-icon">
          <Icon name="back" />
          {w.ticket.back}
        </a>
        <span className="beside">
          <BesideLink
            to={beside(-1)?.number}
            word={w.ticket.previous}
            onGo={() => goBeside(-1)}
            icon="back"
          />
          <BesideLink to={beside(1)?.number} word={w.ticket.next} onGo={() => goBeside(1)} icon="next" />
        </span>
      </nav>
      <header className="ticket-head">
        <h1 ref={heading} tabIndex={-1}>
          <span className="number">{number}</span> {ticket?.summary.subject}
        </h1>
        {ticket && (
          <p className="ticket-sub">
            <StateMark state={ticket.summary.state} /> <PriorityMark priority={ticket.summary.priority} />
            <span>
              {w.ticket.filedBy(ticket.summary.reporter)} · {ticket.summary.branch} ·{" "}
              <When at={ticket.summary.receivedAt} />
            </span>
          </p>
        )}
      </header>
      {page.fault && <Unavailable fault={page.fault} onRetry={() => void page.reload()} />}
      {!ticket && !page.fault && <p className="quiet-line">{w.common.loading}</p>}
      {ticket && (
        <div className="ticket-body">
          <div className="ticket-main">
            {ticket.mergedInto && (
              <Notice tone="calm" icon="link">
                <a href={href(["tickets", ticket.mergedInto])}>{w.ticket.mergedInto(ticket.mergedInto)}</a>
              </Notice>
            )}
            <Timeline ticket={ticket} seen={seen} />
            <Composer
              key={number}
              number={number}
              page={page}
              ticket={ticket}
              handle={composer}
              seen={seen}
            />
          </div>
          <Details ticket={ticket} page={page} onAssignMe={() => void assignToMe()} />
        </div>
      )}
    </article>
  );
}

function useSeen(last: number, loaded: boolean): number {
  const [seen, setSeen] = useState<number | null>(null);
  useEffect(() => {
    if (loaded) setSeen((before) => before ?? last);
  }, [last, loaded]);
  return seen ?? last;
}

function BesideLink(props: {
  to: string | undefined;
  word: string;
  icon: "back" | "next";
  onGo: () => void;
}) {
  if (!props.to) return null;
  return (
    <button type="button" className={`button quiet small ${props.icon}`} onClick={props.onGo}>
      <Icon name="back" />
      {props.word}
    </button>
  );
}
