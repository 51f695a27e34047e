// How every branch is: what needs somebody comes first, and each figure says what it is.
import { Icon, Mark } from "@branchline/look";
import { type ReactNode, useState } from "react";
import { ask } from "../../api/call.ts";
import type { Agent, Branch } from "../../api/generated.ts";
import { useDesk } from "../../desk.tsx";
import { useLoaded } from "../../parts/loaded.ts";
import { Ago } from "../../parts/marks.tsx";
import { useNow } from "../../parts/now.ts";
import { Unavailable, usePageTitle } from "../../parts/page.tsx";
import { useShortcuts } from "../../parts/shortcuts.tsx";
import { href } from "../../route.ts";
import type { Words } from "../../words/en.ts";
import { useSpeech } from "../../words/index.tsx";
import { BandwidthDialog, RevokeDialog } from "./dialogs.tsx";

const EVERY_MS = 10_000;
/** A clock that is less off is right. */
const CLOCK_TOLERANCE_MS = 5_000;

const load = () => ask("Branches", {}).then((answer) => answer.branches);

type Asked = { what: "bandwidth"; branch: Branch } | { what: "revoke"; branch: Branch; agent: Agent };

export function Branches({ query }: { query: URLSearchParams }) {
  const { w, when } = useSpeech();
  const heading = usePageTitle(w.branches.title);
  const { value, fault, reload } = useLoaded(load, EVERY_MS);
  const [find, setFind] = useState(query.get("find") ?? "");
  const [only, setOnly] = useState(false);
  const [asked, setAsked] = useState<Asked | null>(null);
  useShortcuts({ "/": () => document.getElementById("find-branch")?.focus() });

  const wanted = find.trim().toLowerCase();
  const all = [...(value?.branches ?? [])].sort(
    (a, b) => b.attention - a.attention || a.code.localeCompare(b.code),
  );
  const shown = all.filter(
    (branch) =>
      (!only || branch.attention > 0) && `${branch.code} ${branch.name ?? ""}`.toLowerCase().includes(wanted),
  );
  const troubled = all.filter((branch) => branch.attention > 0).length;
  const close = () => setAsked(null);
  const done = () => {
    close();
    void reload();
  };
  return (
    <div>
      <div className="page-head">
        <h1 ref={heading} tabIndex={-1}>
          {w.branches.title}
        </h1>
        {value && (
          <p className="soft" role="status">
            {troubled > 0 ? (
              <Mark tone="warn" icon="alert">
                {w.branches.attention(troubled)}
              </Mark>
            ) : (
              <Mark tone="good" icon="check">
                {w.branches.allWell}
              </Mark>
            )}{" "}
            <span className="small">{w.branches.asOf(when(value.asOf))}</span>
          </p>
        )}
      </div>
      <fieldset className="filters">
        <legend className="unseen">{w.inbox.filters}</legend>
        <label className="choice">
          <span className="small soft">{w.branches.find}</span>
          <input
            id="find-branch"
            type="search"
            value={find}
            maxLength={100}
            onChange={(event) => setFind(event.target.value)}
          />
        </label>
        <label className="check">
          <input type="checkbox" checked={only} onChange={(event) => setOnly(event.target.checked)} />
          {w.branches.onlyAttention}
        </label>
      </fieldset>
      {fault && <Unavailable fault={fault} onRetry={() => void reload()} />}
      {!value && !fault && <p className="quiet-line">{w.common.loading}</p>}
      {value && all.length === 0 && (
        <div className="empty">
          <p>{w.branches.none}</p>
          <p className="soft">{w.branches.noneHint}</p>
        </div>
      )}
      {value && all.length > 0 && shown.length === 0 && <p className="quiet-line">{w.branches.noMatch}</p>}
      {shown.length > 0 && <BranchTable branches={shown} onAsk={setAsked} />}
      {asked?.what === "bandwidth" && <BandwidthDialog branch={asked.branch} onClose={close} onDone={done} />}
      {asked?.what === "revoke" && (
        <RevokeDialog branch={asked.branch} agent={asked.agent} onClose={close} onDone={done} />
      )}
    </div>
  );
}

function BranchTable({ branches, onAsk }: { branches: Branch[]; onAsk: (asked: Asked) => void }) {
  const { w } = useSpeech();
  const names = w.branches.column;
  const columns = [
    names.branch,
    names.link,
    names.contact,
    names.waiting,
    names.clock,
    names.disk,
    names.version,
    names.certificate,
  ];
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: whoever has no mouse scrolls it with the arrow keys
    <section className="wide" tabIndex={0} aria-label={w.branches.title}>
      <table className="branches">
        <caption className="unseen">{w.branches.table}</caption>
        <thead>
          <tr>
            {columns.map((name) => (
              <th key={name} scope="col">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        {branches.map((branch) => (
          <tbody key={branch.code} className={branch.attention > 0 ? "troubled" : ""}>
            {branch.agents.length === 0 && (
              <tr>
                <BranchCell branch={branch} onAsk={onAsk} />
                <td colSpan={7} className="soft">
                  {w.branches.noAgent}
                </td>
              </tr>
            )}
            {branch.agents.map((agent, place) => (
              <AgentRow key={agent.id} branch={branch} agent={agent} first={place === 0} onAsk={onAsk} />
            ))}
          </tbody>
        ))}
      </table>
    </section>
  );
}

function BranchCell({ branch, onAsk }: { branch: Branch; onAsk: (asked: Asked) => void }) {
  const { w } = useSpeech();
  const { may } = useDesk();
  return (
    <th scope="rowgroup" rowSpan={Math.max(1, branch.agents.length)} className="branch-name">
      <span className="code">{branch.code}</span> {branch.name}
      <span className="about">
        <a href={href([], { view: "all", branch: branch.code })}>
          {w.branches.tickets}
          <span className="unseen"> {branch.code}</span>
        </a>
        {branch.bandwidth && (
          <span>
            {w.branches.bandwidth}: {branch.bandwidth}
          </span>
        )}
        {may("ADMINISTER") && (
          <button type="button" className="link" onClick={() => onAsk({ what: "bandwidth", branch })}>
            {w.branches.bandwidthEdit}
            <span className="unseen"> {branch.code}</span>
          </button>
        )}
      </span>
    </th>
  );
}

function AgentRow(props: { branch: Branch; agent: Agent; first: boolean; onAsk: (asked: Asked) => void }) {
  const speech = useSpeech();
  const { w } = speech;
  const { may } = useDesk();
  const { agent, branch } = props;
  const has = (...words: string[]) => words.some((word) => agent.troubles.includes(word));
  return (
    <tr className={agent.revoked ? "gone" : ""}>
      {props.first && <BranchCell branch={branch} onAsk={props.onAsk} />}
      <td>
        <LinkMark agent={agent} />
        {branch.agents.length > 1 && <span className="small soft"> {w.branches.agent(agent.ordinal)}</span>}
        {agent.troubles.length > 0 && (
          <ul className="troubles">
            {agent.troubles.map((word) => (
              <li key={word}>{troubleWords(w, word)}</li>
            ))}
          </ul>
        )}
        {agent.refusedWhy && has("refused") && (
          <p className="small soft refused">{w.branches.refusedWhy(agent.refusedWhy)}</p>
        )}
        {may("ADMINISTER") && !agent.revoked && (
          <button
            type="button"
            className="link small"
            onClick={() => props.onAsk({ what: "revoke", branch, agent })}
          >
            {w.branches.revoke}
            <span className="unseen">
              {" "}
              {branch.code} {w.branches.agent(agent.ordinal)}
            </span>
          </button>
        )}
      </td>
      <Figure bad={has("silent", "never-seen")}>
        {agent.lastContact ? <Ago at={agent.lastContact} /> : w.common.never}
      </Figure>
      <Figure bad={has("waiting-long")}>
        {agent.waiting === null ? (
          "–"
        ) : agent.waiting === 0 ? (
          <span className="soft">{w.branches.nothing}</span>
        ) : (
          speech.number(agent.waiting)
        )}
        {agent.oldestWaiting && (
          <span className="small block">
            {w.branches.column.oldest}: <Ago at={agent.oldestWaiting} />
          </span>
        )}
      </Figure>
      <Figure bad={has("clock-off")}>{clockWords(speech, agent.clockSkewMs)}</Figure>
      <Figure bad={has("disk-low")}>{agent.diskFree === null ? "–" : speech.size(agent.diskFree)}</Figure>
      <Figure bad={has("old-version")}>{agent.version ?? "–"}</Figure>
      <Figure bad={has("certificate-expired", "certificate-ends")}>
        <CertificateEnd until={agent.certificateUntil} />
        {agent.damaged !== null && agent.damaged > 0 && (
          <span className="small block bad">{w.branches.damaged(agent.damaged)}</span>
        )}
      </Figure>
    </tr>
  );
}

function Figure({ bad, children }: { bad: boolean; children: ReactNode }) {
  return (
    <td className={bad ? "figure bad" : "figure"}>
      {bad && <Icon name="alert" />}
      {children}
    </td>
  );
}

function LinkMark({ agent }: { agent: Agent }) {
  const { w } = useSpeech();
  if (agent.revoked) return <Mark icon="cross">{w.branches.revoked}</Mark>;
  if (agent.connected)
    return (
      <Mark tone="good" icon="link">
        {w.branches.connected}
      </Mark>
    );
  if (!agent.lastContact)
    return (
      <Mark tone="warn" icon="unlink">
        {w.branches.neverSeen}
      </Mark>
    );
  // An agent that has nothing to say speaks every few minutes.
  if (!agent.troubles.includes("silent")) return <Mark icon="link">{w.branches.quiet}</Mark>;
  return (
    <Mark tone="bad" icon="unlink">
      {w.branches.silent}
    </Mark>
  );
}

function CertificateEnd({ until }: { until: string | null }) {
  const { w, day } = useSpeech();
  const now = useNow();
  if (!until) return "–";
  return (
    <time dateTime={until}>
      {Date.parse(until) < now ? w.branches.expired(day(until)) : w.branches.until(day(until))}
    </time>
  );
}

function clockWords(
  { w, lasting }: { w: Words; lasting: (ms: number) => string },
  skew: number | null,
): string {
  if (skew === null) return "–";
  if (Math.abs(skew) < CLOCK_TOLERANCE_MS) return w.branches.clockRight;
  return skew > 0 ? w.branches.clockAhead(lasting(skew)) : w.branches.clockBehind(lasting(-skew));
}

export function troubleWords(w: Words, word: string): string {
  const known: Record<string, string> = w.branches.troubles;
  return Object.hasOwn(known, word) ? (known[word] ?? word) : word;
}
