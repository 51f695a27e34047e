// How somebody likes the page: language and colours, kept in this browser.
import { useState } from "react";
import { keep, kept } from "../kept.ts";
import { LANGUAGES, type Language, useSpeech } from "../words/index.tsx";

const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];

function keptTheme(): Theme {
  const said = kept("theme");
  return THEMES.find((theme) => theme === said) ?? "system";
}

export function applyTheme(theme: Theme = keptTheme()): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function LanguageChoice() {
  const { w, language, choose } = useSpeech();
  return (
    <label className="choice">
      <span className="small soft">{w.nav.language}</span>
      <select value={language} onChange={(event) => choose(event.target.value as Language)}>
        {Object.entries(LANGUAGES).map(([code, name]) => (
          <option key={code} value={code} lang={code}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}

export function ThemeChoice() {
  const { w } = useSpeech();
  const [theme, setTheme] = useState(keptTheme());
  return (
    <label className="choice">
      <span className="small soft">{w.nav.theme}</span>
      <select
        value={theme}
        onChange={(event) => {
          const chosen = event.target.value as Theme;
          keep("theme", chosen === "system" ? null : chosen);
          applyTheme(chosen);
          setTheme(chosen);
        }}
      >
        {THEMES.map((one) => (
          <option key={one} value={one}>
            {w.nav.themes[one]}
          </option>
        ))}
      </select>
    </label>
  );
}
