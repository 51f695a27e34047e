// The language of the window. Which one it is, the controller says.
import { createContext, useContext } from "react";
import { de } from "./de.ts";
import { en, type Words } from "./en.ts";
import { fr } from "./fr.ts";

export const LANGUAGES = { en: "English", fr: "Français", de: "Deutsch" } as const;
const CATALOGUES: Record<string, Words> = { en, fr, de };

export const wordsOf = (language: string): Words => CATALOGUES[language] ?? en;
export const Speech = createContext<Words>(en);
export const useWords = (): Words => useContext(Speech);
export type { Words };
