// Single keys as shortcuts. They are off while somebody types or a dialog is open, and can be turned off
// altogether, because speech input and screen readers use the same keys.
import { Dialog } from "@branchline/look";
import { useEffect, useRef, useState } from "react";
import { keep, kept } from "../kept.ts";
import { useSpeech } from "../words/index.tsx";

export const singleKeysWanted = (): boolean => kept("single-keys") !== "off";

const TYPING = "input, textarea, select, [contenteditable]";

export function useShortcuts(keys: Record<string, () => void>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const heard = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey || event.isComposing)
        return;
      const then = Object.hasOwn(latest.current, event.key) ? latest.current[event.key] : undefined;
      if (!then || !singleKeysWanted() || document.querySelector("dialog[open]")) return;
      if (event.target instanceof Element && event.target.closest(TYPING)) return;
      event.preventDefault();
      then();
    };
    window.addEventListener("keydown", heard);
    return () => window.removeEventListener("keydown", heard);
  }, []);
}

export function ShortcutsDialog({ onClose }: { onClose: () => void }) {
  const { w } = useSpeech();
  const [enabled, setEnabled] = useState(singleKeysWanted());
  const names = w.shortcuts.list;
  const list: Array<[string, string]> = [
    ["j", names.next],
    ["k", names.previous],
    [w.shortcuts.enter, names.open],
    ["/", names.search],
    [".", names.show],
    ["u", names.back],
    ["r", names.reply],
    ["n", names.note],
    ["a", names.assign],
    [`${w.shortcuts.control} + ${w.shortcuts.enter}`, names.send],
    ["?", names.help],
  ];
  return (
    <Dialog title={w.shortcuts.title} closeWord={w.common.close} onClose={onClose}>
      <dl className="keys">
        {list.map(([key, name]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{name}</dd>
          </div>
        ))}
      </dl>
      <label className="check">
        <input
          type="checkbox"
          checked={enabled}
          onChange={(event) => {
            keep("single-keys", event.target.checked ? null : "off");
            setEnabled(event.target.checked);
          }}
        />
        {w.shortcuts.enabled}
      </label>
    </Dialog>
  );
}
