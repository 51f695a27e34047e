// How something is, as colour and icon; the word stands beside it.
import type { IconName, Tone } from "@branchline/look";
import type { Mood, RungState } from "../api/types.ts";

export const MARKS: Record<Mood, [Tone, IconName]> = {
  good: ["good", "check"],
  calm: ["calm", "clock"],
  warn: ["warn", "reply"],
  bad: ["bad", "alert"],
  plain: ["plain", "back"],
};

export const RUNGS: Record<RungState, IconName> = {
  done: "check",
  now: "loop",
  ahead: "clock",
  wrong: "alert",
};
