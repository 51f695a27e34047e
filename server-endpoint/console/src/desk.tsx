// What every page of a signed-in console shares: who this is, how fresh the data is, the live connection, and
// one voice that says what happened.
import {
  createContext,
  type ReactNode,
  useCallback,
  useContext,
  useEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { ask, rest } from "./api/call.ts";
import { asFault, type Fault } from "./api/fault.ts";
import type { Right, StartAnswer } from "./api/generated.ts";
import { type Change, type LinkState, Live } from "./api/live.ts";
import { InboxStore } from "./pages/inbox/store.ts";
import { faultWords } from "./parts/fault-words.ts";
import { useSpeech } from "./words/index.tsx";

/** How often it is asked how fresh the data is; the live connection tells all else. */
const FRESHNESS_EVERY_MS = 10_000;
/** A saying stays this long. */
const SAID_FOR_MS = 8_000;

export interface Category {
  code: string;
  name: Record<string, string>;
  hint?: Record<string, string>;
  priority?: string;
}

export interface Catalogue {
  serial: number;
  categories: Category[];
  file_bytes?: number | null;
}

/** `null`: something may have been missed, ask again for what is shown. */
export type ChangeListener = (change: Change | null) => void;

export interface Desk {
  me: StartAnswer["me"];
  may(right: Right): boolean;
  behindSince: string | null;
  link: LinkState;
  /** The live connection was lost since the page was opened, and is not back. */
  lost: boolean;
  reconnect(): void;
  subscribe(listener: ChangeListener): () => void;
  people: string[];
  categories: Category[];
  tally: StartAnswer["tally"];
  inbox: InboxStore;
  said: string;
  /** Says something to eyes and screen readers alike. */
  say(text: string): void;
  /** Says why a command came to nothing. */
  complain(thrown: unknown): Fault;
  signOut(): void;
}

const DeskContext = createContext<Desk | null>(null);

export function useDesk(): Desk {
  const desk = useContext(DeskContext);
  if (!desk) throw new Error("not signed in");
  return desk;
}

/** Calls `then` for every change, for as long as the component is there. */
export function useChanges(then: ChangeListener): void {
  const { subscribe } = useDesk();
  const latest = useRef(then);
  latest.current = then;
  useEffect(() => subscribe((change) => latest.current(change)), [subscribe]);
}

export function DeskProvider(props: {
  start: StartAnswer;
  onSignedOut: () => void;
  children: ReactNode;
  open?: () => WebSocket;
}) {
  const { start, onSignedOut, open } = props;
  const { w } = useSpeech();
  const [behindSince, setBehindSince] = useState(start.freshness.behindSince);
  const [tally, setTally] = useState(start.tally);
  const [people, setPeople] = useState<string[]>([]);
  const [categories, setCategories] = useState<Category[]>([]);
  const [said, say] = useSaying();
  const inbox = useMemo(() => new InboxStore(start.me.name), [start.me.name]);
  const listeners = useRef(new Set<ChangeListener>());

  const freshen = useCallback(async () => {
    try {
      const { freshness } = await ask("Fresh", {});
      setBehindSince(freshness.behindSince);
      return freshness.position;
    } catch {
      return undefined;
    }
  }, []);

  const tell = useCallback(
    (change: Change | null) => {
      inbox.changed(change);
      for (const listener of listeners.current) listener(change);
    },
    [inbox],
  );
  const { link, lost, reconnect } = useLive(start.freshness.position, tell, freshen, onSignedOut, open);

  useEffect(() => {
    const timer = setInterval(freshen, FRESHNESS_EVERY_MS);
    return () => clearInterval(timer);
  }, [freshen]);

  // Names to choose from are comfort: where they cannot be had, what is there goes on.
  useEffect(() => {
    ask("People", {}).then(
      (answer) => setPeople(answer.people),
      () => {},
    );
    rest<Catalogue>("GET", "catalogue").then(
      (answer) => setCategories(answer.categories ?? []),
      () => {},
    );
  }, []);

  const counting = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const subscribe = useCallback((listener: ChangeListener) => {
    listeners.current.add(listener);
    return () => void listeners.current.delete(listener);
  }, []);
  useEffect(() => {
    // However many changes come, the numbers are asked for once in a while.
    const count = () => {
      counting.current ??= setTimeout(() => {
        counting.current = undefined;
        ask("Tallies", {}).then(
          (answer) => setTally(answer.tally),
          () => {},
        );
      }, 1_000);
    };
    const end = subscribe(count);
    return () => {
      end();
      clearTimeout(counting.current);
      counting.current = undefined;
    };
  }, [subscribe]);

  const desk = useMemo<Desk>(
    () => ({
      me: start.me,
      may: (right) => start.me.rights.includes(right),
      behindSince,
      link,
      lost,
      reconnect,
      subscribe,
      people,
      categories,
      tally,
      inbox,
      said,
      say,
      complain: (thrown) => {
        const fault = asFault(thrown);
        say(faultWords(w, fault));
        if (fault.status === 503) void freshen();
        return fault;
      },
      signOut: () => {
        rest("DELETE", "session").then(onSignedOut, onSignedOut);
      },
    }),
    [
      start.me,
      behindSince,
      link,
      lost,
      reconnect,
      subscribe,
      people,
      categories,
      tally,
      inbox,
      said,
      say,
      w,
      freshen,
      onSignedOut,
    ],
  );
  return <DeskContext value={desk}>{props.children}</DeskContext>;
}

function useSaying(): [string, (text: string) => void] {
  const [said, setSaid] = useState("");
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const say = useCallback((text: string) => {
    clearTimeout(timer.current);
    setSaid(text);
    timer.current = setTimeout(() => setSaid(""), SAID_FOR_MS);
  }, []);
  useEffect(() => () => clearTimeout(timer.current), []);
  return [said, say];
}

function useLive(
  position: number,
  tell: ChangeListener,
  freshen: () => Promise<number | undefined>,
  onSignedOut: () => void,
  open?: () => WebSocket,
) {
  const [link, setLink] = useState<LinkState>("connecting");
  const [lost, setLost] = useState(false);
  const live = useRef<Live | null>(null);
  useEffect(() => {
    const connection: Live = new Live(
      {
        change: tell,
        state: (state) => {
          setLink(state);
          if (state === "off") setLost(true);
          if (state === "on") {
            setLost(false);
            void freshen();
          }
        },
        lost: () => {
          void freshen().then((now) => {
            if (now !== undefined) connection.resumeAt(now);
            tell(null);
          });
        },
        denied: () => {
          rest("GET", "session").catch((thrown) => {
            if (asFault(thrown).status === 401) onSignedOut();
          });
        },
      },
      position,
      open,
    );
    live.current = connection;
    connection.start();
    const nudge = () => connection.nudge();
    window.addEventListener("online", nudge);
    document.addEventListener("visibilitychange", nudge);
    return () => {
      window.removeEventListener("online", nudge);
      document.removeEventListener("visibilitychange", nudge);
      connection.stop();
    };
  }, [position, tell, freshen, onSignedOut, open]);
  const reconnect = useCallback(() => live.current?.nudge(), []);
  return { link, lost, reconnect };
}
