// What the window can ask of the program behind it. The real one is Tauri's; a mock stands in where there is
// only a browser.
import { createContext, useContext } from "react";
import type {
  DraftText,
  DraftView,
  FileKept,
  Form,
  HandedIn,
  Settings,
  Startup,
  TicketPage,
  TicketView,
  Told,
} from "./types.ts";

/** Errors are sentences for the person, thrown as strings. */
export interface Backend {
  start(): Promise<Startup>;
  /** Calls back for as long as the window is there. */
  follow(told: (told: Told) => void): void;
  tickets(search: string, mine: boolean, before: number | null): Promise<TicketPage>;
  ticket(number: string): Promise<TicketView>;
  withdraw(number: string, reason: string): Promise<void>;
  form(): Promise<Form>;
  /** What is being written on this ticket, or for a new one. */
  draft(on: string | null): Promise<DraftView>;
  /** Resolves when it is durable on this computer. */
  write(id: string, text: DraftText): Promise<DraftView>;
  /** Lets the person pick files; the window never names a path. */
  pickFiles(id: string): Promise<DraftView>;
  paste(id: string, name: string, bytes: Uint8Array): Promise<DraftView>;
  /** Adds a picture that is on the clipboard and that the window was told nothing of; null where there is none. */
  pastePicture(id: string, name: string): Promise<DraftView | null>;
  removeFile(id: string, file: string): Promise<DraftView>;
  /** Lets the person choose a place for a file that came with an answer, and puts it there. */
  saveGiven(id: string): Promise<FileKept>;
  discard(id: string): Promise<void>;
  handIn(id: string): Promise<HandedIn>;
  /** Where files go that are dropped on the window; null for a new ticket. */
  attend(id: string | null): Promise<void>;
  setSettings(settings: Settings): Promise<Startup>;
}

export const BackendContext = createContext<Backend | null>(null);

export function useBackend(): Backend {
  const backend = useContext(BackendContext);
  if (!backend) throw new Error("no backend");
  return backend;
}
