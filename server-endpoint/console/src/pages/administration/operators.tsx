// Who may work at the desk.
import { Dialog, Field } from "@branchline/look";
import { useRef, useState } from "react";
import { part, rest } from "../../api/call.ts";
import { asFault } from "../../api/fault.ts";
import { useDesk } from "../../desk.tsx";
import { faultWords } from "../../parts/fault-words.ts";
import { useLoaded } from "../../parts/loaded.ts";
import { Ago, When } from "../../parts/marks.tsx";
import { Unavailable } from "../../parts/page.tsx";
import { useSpeech } from "../../words/index.tsx";
import { listIn, Section, Table } from "./parts.tsx";

const ROLES = ["viewer", "support", "administrator"] as const;
type Role = (typeof ROLES)[number];

interface Operator {
  name: string;
  role: Role;
  made_at: string;
  signed_in_at?: string | null;
}

const operators = () => rest("GET", "operators").then((answer) => listIn<Operator>(answer));

type Asked = { what: "password" | "remove"; name: string };

export function Operators() {
  const { w } = useSpeech();
  const desk = useDesk();
  const list = useLoaded(operators);
  const [asked, setAsked] = useState<Asked | null>(null);
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
      <Maker onMade={() => void list.reload()} />
      {list.fault && <Unavailable fault={list.fault} onRetry={() => void list.reload()} />}
      {list.value && (
        <Table
          caption={w.operators.list}
          columns={[names.name, names.role, names.made, names.seen, names.action]}
          none={w.operators.none}
          empty={list.value.length === 0}
        >
          {list.value.map(({ name, role, made_at, signed_in_at }) => (
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
                <When at={made_at} />
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
        <PasswordDialog
          name={asked.name}
          onClose={() => setAsked(null)}
          onPassword={(password) =>
            change(
              () => rest("POST", `operators/${part(asked.name)}/password`, { password }),
              w.operators.changed(asked.name),
            )
          }
        />
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

function Maker({ onMade }: { onMade: () => void }) {
  const { w } = useSpeech();
  const desk = useDesk();
  const [name, setName] = useState("");
  const [role, setRole] = useState<Role>("support");
  const [password, setPassword] = useState("");
  const [fault, setFault] = useState("");
  const make = async () => {
    setFault("");
    try {
      await rest("POST", "operators", { name: name.trim(), role, password });
      desk.say(w.operators.added(name.trim()));
      setName("");
      setPassword("");
      onMade();
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
      <Field label={w.operators.firstPassword}>
        {(ids) => (
          <input
            {...ids}
            required
            type="password"
            minLength={12}
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
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

function PasswordDialog(props: {
  name: string;
  onClose: () => void;
  onPassword: (password: string) => Promise<boolean>;
}) {
  const { w } = useSpeech();
  const [password, setPassword] = useState("");
  const first = useRef<HTMLInputElement>(null);
  return (
    <Dialog
      title={w.operators.newPasswordTitle(props.name)}
      closeWord={w.common.close}
      onClose={props.onClose}
      first={first}
    >
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void props.onPassword(password).then((done) => done && props.onClose());
        }}
      >
        <p>{w.operators.newPasswordLead}</p>
        <Field label={w.password.next} hint={w.password.hint}>
          {(ids) => (
            <input
              {...ids}
              ref={first}
              required
              type="password"
              minLength={12}
              autoComplete="new-password"
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        <div className="actions">
          <button type="button" className="button" onClick={props.onClose}>
            {w.common.cancel}
          </button>
          <button type="submit" className="button primary">
            {w.operators.setPassword}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
