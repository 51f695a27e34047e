// What may be switched. Each change holds at once.
import { Field } from "@branchline/look";
import type { Settings, Startup } from "../api/types.ts";
import { LANGUAGES, useWords } from "../words/index.ts";

export function SettingsPage(props: { startup: Startup; change: (settings: Settings) => void }) {
  const words = useWords();
  const { settings } = props.startup;
  const set = (change: Partial<Settings>) => props.change({ ...settings, ...change });
  const tick = (name: "notifications" | "tray" | "autostart") => (
    <label className="tick">
      <input
        type="checkbox"
        checked={settings[name]}
        onChange={(event) => set({ [name]: event.target.checked })}
      />
      {words[name]}
    </label>
  );
  return (
    <section className="page settings">
      <h1>{words.settings}</h1>
      <Field label={words.language}>
        {(ids) => (
          <select
            {...ids}
            value={settings.language}
            onChange={(event) => set({ language: event.target.value })}
          >
            <option value="">{words.ofSystem}</option>
            {Object.entries(LANGUAGES).map(([code, name]) => (
              <option key={code} value={code} lang={code}>
                {name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label={words.theme}>
        {(ids) => (
          <select {...ids} value={settings.theme} onChange={(event) => set({ theme: event.target.value })}>
            <option value="">{words.ofSystem}</option>
            <option value="light">{words.light}</option>
            <option value="dark">{words.dark}</option>
          </select>
        )}
      </Field>
      <fieldset className="ticks">
        <legend>{words.behaviour}</legend>
        {tick("notifications")}
        {tick("tray")}
        {tick("autostart")}
      </fieldset>
      <p className="soft small">{words.version(props.startup.version)}</p>
    </section>
  );
}
