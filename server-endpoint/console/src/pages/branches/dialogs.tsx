// What an administrator does to a branch: how much of its line files may take, and an agent that must not
// come back.
import { Dialog, Field } from "@branchline/look";
import { useRef, useState } from "react";
import { part, rest } from "../../api/call.ts";
import { asFault } from "../../api/fault.ts";
import type { Agent, Branch } from "../../api/generated.ts";
import { useDesk } from "../../desk.tsx";
import { faultWords } from "../../parts/fault-words.ts";
import { useSpeech } from "../../words/index.tsx";

interface Closing {
  onClose: () => void;
  onDone: () => void;
}

export function BandwidthDialog({ branch, onClose, onDone }: { branch: Branch } & Closing) {
  const { w } = useSpeech();
  const desk = useDesk();
  const [rate, setRate] = useState(branch.bandwidth ?? "");
  const [fault, setFault] = useState("");
  const first = useRef<HTMLInputElement>(null);
  const submit = async () => {
    try {
      await rest("PUT", `branches/${part(branch.code)}/bandwidth`, { rate: rate.trim() || null });
      desk.say(w.common.saved);
      onDone();
    } catch (thrown) {
      setFault(faultWords(w, asFault(thrown)));
    }
  };
  return (
    <Dialog
      title={w.branches.bandwidthTitle(branch.code)}
      closeWord={w.common.close}
      onClose={onClose}
      first={first}
    >
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Field label={w.branches.bandwidth} hint={w.branches.bandwidthHint} fault={fault || undefined}>
          {(ids) => (
            <input
              {...ids}
              ref={first}
              maxLength={60}
              value={rate}
              placeholder={w.branches.byBranch}
              onChange={(event) => setRate(event.target.value)}
            />
          )}
        </Field>
        <div className="actions">
          <button type="button" className="button" onClick={onClose}>
            {w.common.cancel}
          </button>
          <button type="submit" className="button primary">
            {w.common.save}
          </button>
        </div>
      </form>
    </Dialog>
  );
}

export function RevokeDialog({ branch, agent, onClose, onDone }: { branch: Branch; agent: Agent } & Closing) {
  const { w } = useSpeech();
  const desk = useDesk();
  const [reason, setReason] = useState("");
  const [fault, setFault] = useState("");
  const first = useRef<HTMLInputElement>(null);
  const submit = async () => {
    try {
      await rest("POST", `agents/${part(agent.id)}/revoke`, { reason: reason.trim() });
      desk.say(w.branches.revokedDone);
      onDone();
    } catch (thrown) {
      setFault(faultWords(w, asFault(thrown)));
    }
  };
  return (
    <Dialog
      title={w.branches.revokeTitle(branch.code)}
      closeWord={w.common.close}
      onClose={onClose}
      first={first}
    >
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <p>{w.branches.revokeLead}</p>
        <p className="mono small">{agent.id}</p>
        <Field label={w.branches.revokeReason} fault={fault || undefined}>
          {(ids) => (
            <input
              {...ids}
              ref={first}
              required
              maxLength={300}
              value={reason}
              onChange={(event) => setReason(event.target.value)}
            />
          )}
        </Field>
        <div className="actions">
          <button type="button" className="button" onClick={onClose}>
            {w.common.cancel}
          </button>
          <button type="submit" className="button danger">
            {w.branches.revokeDo}
          </button>
        </div>
      </form>
    </Dialog>
  );
}
