// What programs show to be known at the desk: made, shown once, taken back.
import { Field } from "@branchline/look";
import { useState } from "react";
import { rest } from "../../api/call.ts";
import { asFault } from "../../api/fault.ts";
import type { Right } from "../../api/generated.ts";
import { useDesk } from "../../desk.tsx";
import { faultWords } from "../../parts/fault-words.ts";
import { useLoaded } from "../../parts/loaded.ts";
import { Ago, When } from "../../parts/marks.tsx";
import { useNow } from "../../parts/now.ts";
import { Unavailable } from "../../parts/page.tsx";
import { useSpeech } from "../../words/index.tsx";
import { listIn, Once, Section, Table } from "./parts.tsx";

const RIGHTS: readonly Right[] = ["READ", "REPLY", "RELEASE", "ADMINISTER"];
const DAY = 86_400;
const LIVES = [30 * DAY, 90 * DAY, 365 * DAY];

interface ApiToken {
  number: number;
  name: string;
  rights: string[];
  expires_at?: string | null;
  used_at?: string | null;
  state?: string;
}

const tokens = () => rest("GET", "api-tokens").then((answer) => listIn<ApiToken>(answer));

export function ApiTokens() {
  const { w } = useSpeech();
  const desk = useDesk();
  const list = useLoaded(tokens);
  const now = useNow();
  const [name, setName] = useState("");
  const [rights, setRights] = useState<Right[]>(["READ"]);
  const [ttl, setTtl] = useState(LIVES[1] ?? DAY);
  const [fault, setFault] = useState("");
  const [made, setMade] = useState("");
  const make = async () => {
    if (rights.length === 0) return setFault(w.apiTokens.noRights);
    setFault("");
    try {
      const asked = {
        name: name.trim(),
        rights: rights.map((right) => right.toLowerCase()),
        ttl_seconds: ttl,
      };
      const answer = await rest<{ token: string }>("POST", "api-tokens", asked);
      setMade(answer.token);
      setName("");
      void list.reload();
    } catch (thrown) {
      setFault(faultWords(w, asFault(thrown)));
    }
  };
  const revoke = async (number: number) => {
    try {
      await rest("DELETE", `api-tokens/${number}`);
      desk.say(w.apiTokens.revokedDone);
      void list.reload();
    } catch (thrown) {
      desk.complain(thrown);
    }
  };
  const names = w.apiTokens.column;
  const known: Record<string, string> = w.right;
  return (
    <Section title={w.apiTokens.title} lead={w.apiTokens.lead}>
      <form
        className="maker"
        onSubmit={(event) => {
          event.preventDefault();
          void make();
        }}
      >
        <Field label={w.apiTokens.name} fault={fault || undefined}>
          {(ids) => (
            <input
              {...ids}
              required
              maxLength={100}
              value={name}
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <fieldset className="field">
          <legend className="label">{w.apiTokens.rights}</legend>
          <div className="checks">
            {RIGHTS.map((right) => (
              <label key={right} className="check">
                <input
                  type="checkbox"
                  checked={rights.includes(right)}
                  onChange={(event) =>
                    setRights(
                      event.target.checked ? [...rights, right] : rights.filter((one) => one !== right),
                    )
                  }
                />
                {w.right[right]}
              </label>
            ))}
          </div>
        </fieldset>
        <Field label={w.apiTokens.ttl}>
          {(ids) => (
            <select {...ids} value={ttl} onChange={(event) => setTtl(Number(event.target.value))}>
              {LIVES.map((seconds) => (
                <option key={seconds} value={seconds}>
                  {w.enrolment.days(seconds / DAY)}
                </option>
              ))}
            </select>
          )}
        </Field>
        <button type="submit" className="button primary">
          {w.apiTokens.make}
        </button>
      </form>
      {made && <Once key={made} title={w.apiTokens.once} lead={w.apiTokens.onceLead} secret={made} />}
      {list.fault && <Unavailable fault={list.fault} onRetry={() => void list.reload()} />}
      {list.value && (
        <Table
          caption={w.apiTokens.list}
          columns={["№", names.name, names.rights, names.until, names.seen, names.action]}
          none={w.apiTokens.none}
          empty={list.value.length === 0}
        >
          {list.value.map((token) => {
            const ended =
              token.state === "revoked" || (token.expires_at ? Date.parse(token.expires_at) < now : false);
            return (
              <tr key={token.number} className={ended ? "past" : ""}>
                <td>{token.number}</td>
                <td>{token.name}</td>
                <td>{token.rights.map((right) => known[right.toUpperCase()] ?? right).join(", ")}</td>
                <td>
                  {token.state === "revoked" ? (
                    w.enrolment.revoked
                  ) : token.expires_at ? (
                    <When at={token.expires_at} />
                  ) : (
                    "–"
                  )}
                </td>
                <td>{token.used_at ? <Ago at={token.used_at} /> : w.common.never}</td>
                <td>
                  {!ended && (
                    <button
                      type="button"
                      className="button small"
                      aria-label={w.apiTokens.revokeName(token.name)}
                      onClick={() => void revoke(token.number)}
                    >
                      {w.apiTokens.revoke}
                    </button>
                  )}
                </td>
              </tr>
            );
          })}
        </Table>
      )}
    </Section>
  );
}
