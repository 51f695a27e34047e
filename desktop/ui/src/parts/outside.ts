// What happens at the edge of the window: files that are held over it or were dropped.
import { createContext } from "react";
import type { DraftView } from "../api/types.ts";

export interface Outside {
  over: boolean;
  /** The draft as it is since files were dropped. */
  added: DraftView | null;
  trouble: string | null;
}

export const OutsideContext = createContext<Outside>({ over: false, added: null, trouble: null });
