// Tokens that let agents join: made, shown once, taken back.
import { Field, Mark } from "@branchline/look";
import { useState } from "react";
import { ask, part, rest } from "../../api/call.ts";
import { asFault } from "../../api/fault.ts";
import { useDesk } from "../../desk.tsx";
import { faultWords } from "../../parts/fault-words.ts";
import { useLoaded } from "../../parts/loaded.ts";
import { When } from "../../parts/marks.tsx";
import { useNow } from "../../parts/now.ts";
import { Unavailable } from "../../parts/page.tsx";
import { useSpeech } from "../../words/index.tsx";
import { listIn, Once, Section, Table } from "./parts.tsx";

const HOUR = 3_600;
const LIVES = [24 * HOUR, 3 * 24 * HOUR, 7 * 24 * HOUR, 30 * 24 * HOUR];

interface EnrolmentToken {
  number: number;
  branch?: string | null;
  agent?: string | null;
  uses: number;
  used: number;
  expires_at: string;
  revoked?: boolean;
  state?: string;
}

const tokens = () => rest("GET", "enrolment-tokens").then((answer) => listIn<EnrolmentToken>(answer));
const branches = () =>
  ask("Branches", {}).then((answer) => answer.branches.branches.map((branch) => branch.code).sort());

export function Enrolment() {
  const { w } = useSpeech();
  const desk = useDesk();
  const list = useLoaded(tokens);
  const codes = useLoaded(branches);
  const [branch, setBranch] = useState("");
  const [uses, setUses] = useState("1");
  const [ttl, setTtl] = useState(LIVES[1] ?? HOUR);
  const [fault, setFault] = useState("");
  const [made, setMade] = useState<{ branch: string; token: string } | null>(null);
  const chosen = branch || codes.value?.[0] || "";
  const make = async () => {
    setFault("");
    try {
      const asked = { uses: Math.max(1, Math.trunc(Number(uses)) || 1), ttl_seconds: ttl };
      const answer = await rest<{ token: string }>("POST", `branches/${part(chosen)}/tokens`, asked);
      setMade({ branch: chosen, token: answer.token });
      void list.reload();
    } catch (thrown) {
      setFault(faultWords(w, asFault(thrown)));
    }
  };
  const revoke = async (token: EnrolmentToken) => {
    try {
      await rest("DELETE", `enrolment-tokens/${token.number}`);
      desk.say(w.enrolment.revokedDone);
      void list.reload();
    } catch (thrown) {
      desk.complain(thrown);
    }
  };
  return (
    <Section title={w.enrolment.title} lead={w.enrolment.lead}>
      <form
        className="maker"
        onSubmit={(event) => {
          event.preventDefault();
          if (chosen) void make();
        }}
      >
        <Field label={w.enrolment.branch} fault={fault || undefined}>
          {(ids) => (
            <select {...ids} value={chosen} onChange={(event) => setBranch(event.target.value)}>
              {(codes.value ?? []).map((code) => (
                <option key={code}>{code}</option>
              ))}
            </select>
          )}
        </Field>
        <Field label={w.enrolment.uses}>
          {(ids) => (
            <input
              {...ids}
              type="number"
              min={1}
              max={1000}
              value={uses}
              onChange={(event) => setUses(event.target.value)}
            />
          )}
        </Field>
        <Field label={w.enrolment.ttl}>
          {(ids) => (
            <select {...ids} value={ttl} onChange={(event) => setTtl(Number(event.target.value))}>
              {LIVES.map((seconds) => (
                <option key={seconds} value={seconds}>
                  {w.enrolment.days(seconds / (24 * HOUR))}
                </option>
              ))}
            </select>
          )}
        </Field>
        <button type="submit" className="button primary">
          {w.enrolment.make}
        </button>
      </form>
      {made && (
        <Once
          key={made.token}
          title={w.enrolment.once}
          lead={w.enrolment.onceLead(made.branch)}
          secret={made.token}
          command={{ lead: w.enrolment.command, text: "branchline-agent enroll TOKEN" }}
        />
      )}
      {list.fault && <Unavailable fault={list.fault} onRetry={() => void list.reload()} />}
      {list.value && <TokenTable tokens={list.value} onRevoke={(token) => void revoke(token)} />}
    </Section>
  );
}

function TokenTable({
  tokens,
  onRevoke,
}: {
  tokens: EnrolmentToken[];
  onRevoke: (token: EnrolmentToken) => void;
}) {
  const { w } = useSpeech();
  const now = useNow();
  const names = w.enrolment.column;
  return (
    <Table
      caption={w.enrolment.list}
      columns={["№", names.branch, names.uses, names.until, names.state, names.action]}
      none={w.enrolment.none}
      empty={tokens.length === 0}
    >
      {tokens.map((token) => {
        const of = token.branch ?? token.agent ?? "";
        const revoked = token.revoked || token.state === "revoked";
        const good = !revoked && token.used < token.uses && Date.parse(token.expires_at) > now;
        return (
          <tr key={token.number} className={good ? "" : "past"}>
            <td>{token.number}</td>
            <td>{of}</td>
            <td>{w.enrolment.used(token.used, token.uses)}</td>
            <td>
              <When at={token.expires_at} />
            </td>
            <td>
              {good ? (
                <Mark tone="good" icon="check">
                  {w.enrolment.good}
                </Mark>
              ) : (
                <Mark>
                  {revoked
                    ? w.enrolment.revoked
                    : token.used >= token.uses
                      ? w.enrolment.spent
                      : w.enrolment.expired}
                </Mark>
              )}
            </td>
            <td>
              {good && (
                <button
                  type="button"
                  className="button small"
                  aria-label={w.enrolment.revokeName(of)}
                  onClick={() => onRevoke(token)}
                >
                  {w.enrolment.revoke}
                </button>
              )}
            </td>
          </tr>
        );
      })}
    </Table>
  );
}
