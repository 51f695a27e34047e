// An invented agent, for a browser: development, component tests, the accessibility check and pictures.
// `?state=` chooses how things are.
import type { Backend } from "../api/backend.ts";
import type {
  DraftView,
  FileView,
  HandedIn,
  RungState,
  Settings,
  Situation,
  Startup,
  Step,
  TicketRow,
  TicketView,
  Told,
} from "../api/types.ts";

const BEGINNING: Settings = { language: "en", theme: "", notifications: true, tray: true, autostart: true };

const SITUATIONS: Record<string, Pick<Situation, "agent" | "mood" | "headline" | "detail">> = {
  connected: { agent: "here", mood: "good", headline: "Connected.", detail: "Everything has been sent." },
  offline: {
    agent: "here",
    mood: "warn",
    headline: "No connection since 09:12.",
    detail: "3 tickets and 2 files are waiting. Nothing is lost.",
  },
  away: {
    agent: "away",
    mood: "bad",
    headline: "Branchline on this computer has not answered since 09:12.",
    detail: "What you write is kept, and is saved as soon as it answers again. You need not do anything.",
  },
};

const SUBJECTS = [
  "The scanner at till 2 pulls in two sheets at once",
  "Receipts print without the company address",
  "I cannot open the price list",
  "The monitor in the back office stays black",
  "The alarm panel shows code 7",
  "A customer’s card is refused although others work",
];

const STEPS: Array<[Step, string]> = [
  ["saved", "Saved here"],
  ["sent", "Sent"],
  ["received", "Received"],
  ["checked", "Checked"],
  ["accepted", "Accepted"],
];

function ladder(reached: number, state: RungState, words: string): TicketView["ladder"] {
  return STEPS.map(([step, name], place) => ({
    step,
    name,
    state: place < reached ? "done" : place === reached ? state : "ahead",
    words: place === 0 ? "today, 09:26" : place === reached ? words : "",
  }));
}

function row(serial: number, state: string): TicketRow {
  // While there is no connection the newest have not left this computer.
  const newest = state === "connected" ? "Received, files are being sent" : "Saved here, waits to be sent";
  const kinds: Array<Pick<TicketRow, "mood" | "standing">> = [
    { mood: "calm", standing: newest },
    { mood: "warn", standing: "Central support waits for you" },
    { mood: "good", standing: "Central support is working on it" },
    { mood: "bad", standing: "A file needs your attention" },
    { mood: "good", standing: "Solved" },
    { mood: "good", standing: "Accepted, not yet taken up" },
  ];
  const place = (5_000 - serial) % kinds.length;
  return {
    number: `LYN-${String(serial).padStart(6, "0")}`,
    subject: SUBJECTS[place] ?? "",
    filed: serial > 4_990 ? "today, 09:26" : "12 Nov, 14:03",
    reporter: "marie",
    mood: kinds[place]?.mood ?? "plain",
    standing: kinds[place]?.standing ?? "",
    unread: place === 1 ? 1 : 0,
    replies: place === 1 || place === 4 ? 1 : 0,
    files: place === 0 ? 2 : 0,
  };
}

/** An agent with so many tickets, in one of the states. */
export function mock(state = "connected", count = 5_000): Backend & { tell(told: Told): void } {
  const listeners: Array<(told: Told) => void> = [];
  const drafts = new Map<string, DraftView>();
  let settings = { ...BEGINNING };
  let made = 0;
  const tell = (told: Told) => {
    for (const listener of listeners) listener(told);
  };
  const begun = (on: string | null): DraftView => {
    const found = [...drafts.values()].find((draft) => draft.on === on && !draft.handed_in);
    if (found) return found;
    made += 1;
    const text = { subject: "", text: "", category: "", priority: "", asset: "", phone: "" };
    const draft = { id: `draft-${made}`, on, text, files: [], handed_in: false, number: null, trouble: null };
    drafts.set(draft.id, draft);
    return draft;
  };
  const change = (id: string, what: Partial<DraftView>): DraftView => {
    const draft = drafts.get(id);
    if (!draft) throw "There is no such draft.";
    const changed = { ...draft, ...what };
    drafts.set(id, changed);
    return changed;
  };
  const shown = () =>
    [...drafts.values()].filter((draft) => draft.text.subject || draft.text.text || draft.files.length > 0);
  const situation = (): Situation =>
    ({
      ...(SITUATIONS[state] ?? SITUATIONS.connected),
      user: "marie",
      colleagues: true,
    }) as Situation;
  const startup = (): Startup => ({
    language: settings.language || "en",
    settings,
    situation: situation(),
    drafts: shown(),
    version: "0.1.0",
  });
  const add = (id: string, name: string, size: string) => {
    made += 1;
    const file = { id: `file-${made}`, name, size, saved: false, percent: null, trouble: null };
    return change(id, { files: [...(drafts.get(id)?.files ?? []), file] });
  };
  return {
    tell,
    start: async () => startup(),
    follow: (told) => {
      listeners.push(told);
    },
    tickets: async (search, _mine, before) => {
      if (state === "away") throw "Branchline on this computer does not answer.";
      const from = before ?? count + 1;
      const words = search.toLowerCase().split(/\s+/).filter(Boolean);
      const rows: TicketRow[] = [];
      let serial = from - 1;
      for (; serial > 0 && rows.length < 100; serial -= 1) {
        const one = row(serial, state);
        const text = `${one.number} ${one.subject}`.toLowerCase();
        if (words.every((word) => text.includes(word))) rows.push(one);
      }
      return { rows, next: serial > 0 ? serial + 1 : null };
    },
    ticket: async (number) => sample(number, state),
    withdraw: async () => {},
    form: async () => ({
      categories: [
        {
          code: "till",
          name: "Till and scanner",
          hint: "Which till, and what does its display say?",
          priority: "high",
        },
        { code: "network", name: "Network and telephone", hint: "", priority: "" },
        { code: "account", name: "Account and password", hint: "", priority: "" },
      ],
      subject_chars: 200,
      text_chars: 16_000,
      asset_chars: 100,
      phone_chars: 40,
    }),
    draft: async (on) => begun(on),
    write: async (id, text) => change(id, { text }),
    pickFiles: async (id) => add(id, "delivery-note-2026-11-21.pdf", "248 KB"),
    paste: async (id, name, bytes) => add(id, name, `${Math.ceil(bytes.length / 1_000)} KB`),
    pastePicture: async (id, name) => add(id, name, "64 KB"),
    removeFile: async (id, file) =>
      change(id, { files: (drafts.get(id)?.files ?? []).filter((known) => known.id !== file) }),
    saveGiven: async () => ({
      outcome: "kept",
      words: "The file is here now: /home/marie/Documents/cleaning-the-rollers.pdf",
    }),
    discard: async (id) => {
      drafts.delete(id);
      tell({ kind: "drafts", drafts: shown() });
    },
    handIn: async (id): Promise<HandedIn> => {
      if (state === "away") {
        change(id, { handed_in: true });
        tell({ kind: "drafts", drafts: shown() });
        return {
          outcome: "waiting",
          words:
            "Not saved yet: Branchline on this computer does not answer. It is kept here and saved as soon as it does. You need not do anything.",
        };
      }
      const on = drafts.get(id)?.on;
      drafts.delete(id);
      return {
        outcome: "saved",
        number: on ?? "LYN-005001",
        words: on
          ? "Saved. It is sent by itself."
          : "Saved as LYN-005001. You can close this window; it is sent by itself.",
      };
    },
    attend: async () => {},
    setSettings: async (next) => {
      settings = next;
      return startup();
    },
  };
}

/** A file of the newest ticket: it goes nowhere before its ticket does. */
const sentIn = (state: string) => (mood: FileView["mood"], standing: string, percent: number | null) =>
  state === "connected"
    ? { mood, standing, percent, trouble: null }
    : { mood: "calm" as const, standing: "Saved here, waits to be sent", percent: null, trouble: null };

/** A ticket whose serial chooses how far it has come. */
export function sample(number: string, state = "connected"): TicketView {
  const one = row(Number(number.slice(4)), state);
  const kind = (5_000 - Number(number.slice(4))) % 6;
  const sent = sentIn(state);
  const ladders: Array<TicketView["ladder"]> = [
    state !== "connected"
      ? ladder(1, "now", "Waits for the connection. Nothing is lost.")
      : ladder(2, "now", "Arrived: 1 / 2"),
    ladder(5, "done", ""),
    ladder(5, "done", ""),
    ladder(3, "wrong", "A file needs your attention"),
    ladder(5, "done", ""),
    ladder(5, "done", ""),
  ];
  return {
    number: one.number,
    subject: one.subject,
    description:
      "Since this morning the scanner takes two sheets at once.\nI have cleaned the rollers; it did not help.",
    category: "Till and scanner",
    priority: "It hinders my work",
    asset: "Till 2",
    contact: "marie, 0471 23 45",
    reporter: "marie",
    filed: one.filed,
    standing: one.standing,
    mood: one.mood,
    ladder: ladders[kind] ?? [],
    trouble: null,
    files:
      kind === 0
        ? [
            {
              id: "a",
              name: "scan-0412.pdf",
              size: "1.2 MB",
              ...sent("good", "Accepted", null),
            },
            {
              id: "b",
              name: "video of the rollers.mp4",
              size: "84 MB",
              ...sent("calm", "37 % sent", 37),
            },
          ]
        : kind === 3
          ? [
              {
                id: "c",
                name: "invoice.docm",
                size: "92 KB",
                mood: "bad",
                standing: "A file needs your attention",
                percent: null,
                trouble: {
                  what: "The virus check found something in this file. Nobody can open it.",
                  todo: "Please tell IT, and do not open the file yourself.",
                },
              },
            ]
          : [],
    entries:
      kind === 1 || kind === 4
        ? [
            {
              kind: "answer",
              by: "anna",
              at: "today, 10:02",
              text: "Thank you, Marie. Which number is on the label below the scanner?",
              standing: "",
              mood: "plain",
              files: [
                {
                  id: "g",
                  name: "cleaning-the-rollers.pdf",
                  size: "1.4 MB",
                  mood: "good",
                  standing: "On this computer",
                  here: true,
                },
                {
                  id: "h",
                  name: "scanner-driver.zip",
                  size: "38 MB",
                  mood: "calm",
                  standing:
                    state === "offline" ? "Comes by itself when there is a connection" : "Is being fetched",
                  here: false,
                },
              ],
            },
            {
              kind: "comment",
              by: "marie",
              at: "today, 10:05",
              text: "It says SC-2210-B.",
              standing: state === "offline" ? "Saved here, waits to be sent" : "Received",
              mood: state === "offline" ? "calm" : "good",
              files: [],
            },
          ]
        : [],
    open: true,
    moving: false,
  };
}

const asked = new URLSearchParams(globalThis.location?.search ?? "");
export const backend = mock(asked.get("state") ?? "connected", Number(asked.get("count") ?? 5_000));
