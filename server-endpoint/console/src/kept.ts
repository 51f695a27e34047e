// What this browser keeps for its user: choices, and texts that are not sent yet. A browser that keeps
// nothing (private windows, a full disk) costs comfort and nothing else.

const PREFIX = "branchline.";

export function kept(name: string): string | null {
  try {
    return localStorage.getItem(PREFIX + name);
  } catch {
    return null;
  }
}

export function keep(name: string, value: string | null): void {
  try {
    if (value === null) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, value);
  } catch {
    // Nothing to be done; see above.
  }
}

export interface Draft {
  reply: string;
  note: string;
}

interface KeptDraft extends Draft {
  at: number;
}

const NO_DRAFT: Draft = { reply: "", note: "" };
/** Drafts that are kept at once; the oldest go first. */
const DRAFTS = 50;
const DRAFT_DAYS = 30;

const draftName = (who: string, ticket: string) => `draft.${who}.${ticket}`;

export function keptDraft(who: string, ticket: string): Draft {
  try {
    const said = JSON.parse(kept(draftName(who, ticket)) ?? "null") as Partial<KeptDraft> | null;
    return { reply: String(said?.reply ?? ""), note: String(said?.note ?? "") };
  } catch {
    return NO_DRAFT;
  }
}

export function keepDraft(who: string, ticket: string, draft: Draft): void {
  const empty = !draft.reply && !draft.note;
  keep(draftName(who, ticket), empty ? null : JSON.stringify({ ...draft, at: Date.now() }));
}

/** Lets old drafts go. */
export function tidyDrafts(): void {
  try {
    const found = Object.keys(localStorage)
      .filter((name) => name.startsWith(`${PREFIX}draft.`))
      .map((name) => ({ name, at: draftTime(name) }))
      .sort((a, b) => b.at - a.at);
    const oldest = Date.now() - DRAFT_DAYS * 86_400_000;
    for (const [place, { name, at }] of found.entries()) {
      if (place >= DRAFTS || at < oldest) localStorage.removeItem(name);
    }
  } catch {
    // See above.
  }
}

function draftTime(name: string): number {
  try {
    return Number((JSON.parse(localStorage.getItem(name) ?? "{}") as Partial<KeptDraft>).at ?? 0);
  } catch {
    return 0;
  }
}
