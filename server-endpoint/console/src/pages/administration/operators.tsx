// Who may work at the desk.
import { Dialog, Field } from "@branchline/look";
import { useState } from "react";
import { part, rest } from "../../api/call.ts";
import { asFault } from "../../api/fault.ts";
import { useDesk } from "../../desk.tsx";
import { faultWords } from "../../parts/fault-words.ts";
import { useLoaded } from "../../parts/loaded.ts";
import { Ago, When } from "../../parts/marks.tsx";
import { Unavailable } from "../../parts/page.tsx";
import { useSpeech } from "../../words/index.tsx";
import { listIn, Once, Section, Table } from "./parts.tsx";

const ROLES = ["viewer", "support", "administrator"] as const;
type Role = (typeof ROLES)[number];

interface Operator {
  name: string;
  role: Role;
  added_at: string;
  signed_in_at?: string | null;
}

const operators = () => rest("GET", "operators").then((answer) => listIn<Operator>(answer));

interface Made {
  name: string;
  password: string;
}

type Asked = { what: "password" | "remove"; name: string };

export function Operators() {
  const { w } = useSpeech();
  const desk = useDesk();
  const list = useLoaded(operators);
  const [asked, setAsked] = useState<Asked | null>(null);
  const [made, setMade] = useState<Made | null>(null);
  const change = async (doing: () => Promise<unknown>, done: string): Promise<boolean> => {
    try {
      await doing();
      desk.say(done);
      void list.reload();
      return true;
    } catch (thrown) {
      desk.complain(thrown);
      return false;
    }
  };
  const names = w.operators.column;
  return (
    <Section title={w.operators.title} lead={w.operators.lead}>
      <Maker
        onMade={(one) => {
          setMade(one);
          void list.reload();
        }}
      />
      {made && (
        <Once
          key={made.password}
          title={w.operators.once(made.name)}
          lead={w.operators.onceLead}
          secret={made.password}
        />
      )}
      {list.fault && <Unavailable fault={list.fault} onRetry={() => void list.reload()} />}
      {list.value && (
        <Table
          caption={w.operators.list}
          columns={[names.name, names.role, names.made, names.seen, names.action]}
          none={w.operators.none}
          empty={list.value.length === 0}
        >
          {list.value.map(({ name, role, added_at, signed_in_at }) => (
            <tr key={name}>
              <td>
                {name} {name === desk.me.name && <span className="soft">({w.operators.you})</span>}
              </td>
              <td>
                <RoleForm
                  name={name}
                  role={role}
                  onRole={(role) =>
                    change(
                      () => rest("PATCH", `operators/${part(name)}`, { role }),
                      w.operators.changed(name),
                    )
                  }
                />
              </td>
              <td>
                <When at={added_at} />
              </td>
              <td>{signed_in_at ? <Ago at={signed_in_at} /> : w.common.never}</td>
              <td>
                <div className="row-actions">
                  <button
                    type="button"
                    className="button small"
                    onClick={() => setAsked({ what: "password", name })}
                  >
                    {w.operators.newPassword}
                    <span className="unseen"> {name}</span>
                  </button>
                  {name !== desk.me.name && (
                    <button
                      type="button"
                      className="button small danger"
                      aria-label={w.operators.removeName(name)}
                      onClick={() => setAsked({ what: "remove", name })}
                    >
                      {w.operators.remove}
                    </button>
                  )}
                </div>
              </td>
            </tr>
          ))}
        </Table>
      )}
      {asked?.what === "password" && (
        <Dialog
          title={w.operators.newPasswordTitle(asked.name)}
          closeWord={w.common.close}
          onClose={() => setAsked(null)}
        >
          <p>{w.operators.newPasswordLead}</p>
          <div className="actions">
            <button type="button" className="button" onClick={() => setAsked(null)}>
              {w.common.cancel}
            </button>
            <button
              type="button"
              className="button primary"
              onClick={() => {
                const { name } = asked;
                setAsked(null);
                const making = rest<{ password: string }>("POST", `operators/${part(name)}/password`);
                void change(async () => setMade({ name, ...(await making) }), w.operators.changed(name));
              }}
            >
              {w.operators.setPassword}
            </button>
          </div>
        </Dialog>
      )}
      {asked?.what === "remove" && (
        <Dialog
          title={w.operators.removeTitle(asked.name)}
          closeWord={w.common.close}
          onClose={() => setAsked(null)}
        >
          <p>{w.operators.removeLead}</p>
          <div className="actions">
            <button type="button" className="button" onClick={() => setAsked(null)}>
              {w.common.cancel}
            </button>
            <button
              type="button"
              className="button danger"
              onClick={() => {
                const { name } = asked;
                setAsked(null);
                void change(() => rest("DELETE", `operators/${part(name)}`), w.operators.removed(name));
              }}
            >
              {w.operators.removeName(asked.name)}
            </button>
          </div>
        </Dialog>
      )}
    </Section>
  );
}

function Maker({ onMade }: { onMade: (made: Made) => void }) {
  const { w } = useSpeech();
  const desk = useDesk();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("support");
  const [fault, setFault] = useState("");
  const make = async () => {
    setFault("");
    try {
      const made = await rest<{ password: string }>("POST", "operators", { name: name.trim(), role });
      desk.say(w.operators.added(name.trim()));
      setName("");
      onMade({ name: name.trim(), password: made.password });
    } catch (thrown) {
      setFault(faultWords(w, asFault(thrown)));
    }
  };
  return (
    <form
      className="maker"
      autoComplete="off"
      onSubmit={(event) => {
        event.preventDefault();
        void make();
      }}
    >
      <Field label={w.operators.name} fault={fault || undefined}>
        {(ids) => (
          <input
            {...ids}
            required
            maxLength={64}
            autoCapitalize="none"
            autoComplete="off"
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        )}
      </Field>
      <Field label={w.operators.role}>
        {(ids) => (
          <select {...ids} value={role} onChange={(event) => setRole(event.target.value as Role)}>
            {ROLES.map((one) => (
              <option key={one} value={one}>
                {w.role[one]}: {w.operators.roles[one]}
              </option>
            ))}
          </select>
        )}
      </Field>
      <button type="submit" className="button primary">
        {w.operators.make}
      </button>
    </form>
  );
}

/** A list changes nothing by itself: arrow keys walk through it. */
function RoleForm({
  name,
  role,
  onRole,
}: {
  name: string;
  role: Role;
  onRole: (role: Role) => Promise<boolean>;
}) {
  const { w } = useSpeech();
  const [chosen, setChosen] = useState<Role>(role);
  return (
    <form
      className="beside-field"
      onSubmit={(event) => {
        event.preventDefault();
        void onRole(chosen);
      }}
    >
      <select
        aria-label={w.operators.roleOf(name)}
        value={chosen}
        onChange={(event) => setChosen(event.target.value as Role)}
      >
        {ROLES.map((one) => (
          <option key={one} value={one}>
            {w.role[one]}
          </option>
        ))}
      </select>
      {chosen !== role && (
        <button type="submit" className="button small">
          {w.ticket.apply}
        </button>
      )}
    </form>
  );
}
