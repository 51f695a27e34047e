// The language that is spoken here: the user's choice, else the browser's. Words come from a typed catalogue,
// dates and numbers from Intl.
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { keep, kept } from "../kept.ts";
import { de } from "./de.ts";
import { en, type Words } from "./en.ts";
import { fr } from "./fr.ts";

export const LANGUAGES = { en: "English", fr: "Français", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

const CATALOGUES: Record<Language, Words> = { en, fr, de };
const isLanguage = (code: string): code is Language => Object.hasOwn(LANGUAGES, code);

export function firstLanguage(): Language {
  const wanted = [kept("language") ?? "", ...navigator.languages.map((tag) => tag.slice(0, 2))];
  return wanted.find(isLanguage) ?? "en";
}

export interface Speech {
  w: Words;
  language: Language;
  /** Date and time, short: for people who look at many. */
  when(time: string | number | Date): string;
  /** Date alone. */
  day(time: string | number | Date): string;
  /** How long ago, or in how long: "3 min. ago". */
  ago(time: string | number | Date, now: number): string;
  /** A length of time: "3 minutes". */
  lasting(milliseconds: number): string;
  size(bytes: number): string;
  number(n: number): string;
}

const STEPS: Array<[Intl.RelativeTimeFormatUnit, number]> = [
  ["year", 31_536_000_000],
  ["month", 2_592_000_000],
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
];

const UNITS = ["byte", "kilobyte", "megabyte", "gigabyte", "terabyte"] as const;

export function speechOf(language: Language): Speech {
  const when = new Intl.DateTimeFormat(regional(language), { dateStyle: "medium", timeStyle: "short" });
  const day = new Intl.DateTimeFormat(regional(language), { dateStyle: "medium" });
  const relative = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
  const number = new Intl.NumberFormat(regional(language));
  const date = (time: string | number | Date) => new Date(time);
  const valid = (time: Date, say: (time: Date) => string, raw: unknown) =>
    Number.isNaN(time.getTime()) ? String(raw) : say(time);
  return {
    w: CATALOGUES[language],
    language,
    when: (time) => valid(date(time), (d) => when.format(d), time),
    day: (time) => valid(date(time), (d) => day.format(d), time),
    ago: (time, now) =>
      valid(
        date(time),
        (d) => {
          const distance = d.getTime() - now;
          const [unit, length] = STEPS.find(([, length]) => Math.abs(distance) >= length) ?? [
            "second",
            1_000,
          ];
          return relative.format(Math.trunc(distance / length), unit);
        },
        time,
      ),
    lasting: (milliseconds) => {
      const [unit, length] = STEPS.find(([, length]) => milliseconds >= length) ?? ["second", 1_000];
      const amount = Math.round(milliseconds / length);
      return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "short" }).format(amount);
    },
    size: (bytes) => {
      const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(bytes, 1)) / 3)));
      const unit = UNITS[power] ?? "byte";
      const options = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 1 } as const;
      return new Intl.NumberFormat(language, options).format(bytes / 1000 ** power);
    },
    number: (n) => number.format(n),
  };
}

/** The browser's region of this language, where it names one: dates look as their readers expect. */
function regional(language: Language): string {
  return (
    navigator.languages.find((tag) => tag.slice(0, 2) === language) ??
    (language === "en" ? "en-GB" : language)
  );
}

interface Choosing extends Speech {
  choose(language: Language): void;
}

const Spoken = createContext<Choosing | null>(null);

export function Speaking({ children, first }: { children: ReactNode; first?: Language }) {
  const [language, setLanguage] = useState<Language>(first ?? firstLanguage);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const speech = useMemo(() => {
    const choose = (chosen: Language) => {
      keep("language", chosen);
      setLanguage(chosen);
    };
    return { ...speechOf(language), choose };
  }, [language]);
  return <Spoken value={speech}>{children}</Spoken>;
}

export function useSpeech(): Choosing {
  const speech = useContext(Spoken);
  if (!speech) throw new Error("no language around this component");
  return speech;
}
