// States, priorities, verdicts and times as people read them: a word each, an icon and a colour beside it.
import { type IconName, Mark, type Tone } from "@branchline/look";
import type { Attached, Priority, TicketState } from "../api/generated.ts";
import type { Words } from "../words/en.ts";
import { useSpeech } from "../words/index.tsx";
import { useNow } from "./now.ts";

const STATE_TONES: Record<TicketState, Tone> = {
  NEW: "calm",
  OPEN: "good",
  WAITING: "warn",
  RESOLVED: "plain",
  CLOSED: "plain",
  WITHDRAWN: "plain",
  MERGED: "plain",
};

export function StateMark({ state }: { state: TicketState }) {
  const { w } = useSpeech();
  return <Mark tone={STATE_TONES[state]}>{w.state[state] ?? state}</Mark>;
}

const PRIORITY_TONES: Record<Priority, Tone> = { URGENT: "bad", HIGH: "warn", NORMAL: "plain", LOW: "plain" };

export function PriorityMark({ priority }: { priority: Priority }) {
  const { w } = useSpeech();
  const icon: { icon?: IconName } = priority === "URGENT" ? { icon: "alert" } : {};
  return (
    <Mark tone={PRIORITY_TONES[priority]} {...icon}>
      {w.priority[priority] ?? priority}
    </Mark>
  );
}

const VERDICTS: Record<string, { tone: Tone; icon: IconName }> = {
  waiting: { tone: "plain", icon: "clock" },
  received: { tone: "plain", icon: "clock" },
  scanning: { tone: "calm", icon: "loop" },
  clean: { tone: "good", icon: "shield" },
  infected: { tone: "bad", icon: "cross" },
  held: { tone: "warn", icon: "lock" },
  "too-large": { tone: "warn", icon: "lock" },
  too_large: { tone: "warn", icon: "lock" },
  corrupt: { tone: "bad", icon: "cross" },
  released: { tone: "warn", icon: "check" },
  expired: { tone: "plain", icon: "cross" },
};

/** A state's word: `infected`, whatever case or separator the server writes. */
export const verdictOf = (file: Pick<Attached, "state">): string => file.state.toLowerCase();

export function verdictWord(w: Words, state: string): string {
  const words: Record<string, unknown> = w.file;
  const word = Object.hasOwn(VERDICTS, state) ? words[state] : undefined;
  return typeof word === "string" ? word : w.file.other;
}

export function Verdict({ file }: { file: Pick<Attached, "state"> }) {
  const { w } = useSpeech();
  const state = verdictOf(file);
  const look = VERDICTS[state] ?? { tone: "plain", icon: "lock" };
  return (
    <Mark tone={look.tone} icon={look.icon}>
      {verdictWord(w, state)}
    </Mark>
  );
}

/** A time: how long ago, with the exact time for who points at it and for screen readers. */
export function Ago({ at }: { at: string }) {
  const speech = useSpeech();
  const now = useNow();
  return (
    <time dateTime={at} title={speech.when(at)} className="nowrap">
      {speech.ago(at, now)}
    </time>
  );
}

export function When({ at }: { at: string }) {
  const { when } = useSpeech();
  return (
    <time dateTime={at} className="nowrap">
      {when(at)}
    </time>
  );
}

/** What a category is called, in the reader's language. */
export function categoryName(
  categories: ReadonlyArray<{ code: string; name: Record<string, string> }>,
  code: string,
  language: string,
): string {
  const found = categories.find((category) => category.code === code);
  return found?.name[language] || found?.name.en || code;
}
