// Who is here decides what is shown: the way in, or the desk with its pages.
import { useCallback, useEffect, useState } from "react";
import { ask, onSignedOut } from "./api/call.ts";
import { asFault, type Fault } from "./api/fault.ts";
import type { StartAnswer } from "./api/generated.ts";
import { DeskProvider } from "./desk.tsx";
import { Administration } from "./pages/administration/administration.tsx";
import { Branches } from "./pages/branches/branches.tsx";
import { Inbox } from "./pages/inbox/inbox.tsx";
import { NotFound } from "./pages/not-found.tsx";
import { PasswordForm, SignIn } from "./pages/sign-in.tsx";
import { TicketPage } from "./pages/ticket/ticket.tsx";
import { Frame } from "./parts/frame.tsx";
import { Unavailable } from "./parts/page.tsx";
import { go, parseRoute, useHash } from "./route.ts";
import { useSpeech } from "./words/index.tsx";

type Presence =
  | { at: "asking" }
  | { at: "door"; again: boolean }
  | { at: "away"; fault: Fault }
  | { at: "desk"; start: StartAnswer };

export function App() {
  const { w } = useSpeech();
  const [presence, setPresence] = useState<Presence>({ at: "asking" });
  const enter = useCallback(async () => {
    try {
      setPresence({ at: "desk", start: await ask("Start", {}) });
    } catch (thrown) {
      const fault = asFault(thrown);
      setPresence(fault.status === 401 ? { at: "door", again: false } : { at: "away", fault });
    }
  }, []);
  const leave = useCallback(() => {
    setPresence((before) => ({ at: "door", again: before.at === "desk" }));
  }, []);
  useEffect(() => {
    onSignedOut(leave);
    void enter();
  }, [enter, leave]);

  switch (presence.at) {
    case "asking":
      return (
        <main className="door" aria-busy="true">
          <p className="soft">{w.common.loading}</p>
        </main>
      );
    case "away":
      return (
        <main className="door">
          <Unavailable fault={presence.fault} onRetry={() => void enter()} />
        </main>
      );
    case "door":
      return <SignIn again={presence.again} onSignedIn={() => void enter()} />;
    case "desk":
      return (
        <DeskProvider key={presence.start.me.name} start={presence.start} onSignedOut={leave}>
          <Frame>
            <Page me={presence.start.me.name} />
          </Frame>
        </DeskProvider>
      );
  }
}

function Page({ me }: { me: string }) {
  const { path, query } = parseRoute(useHash());
  const [first, second] = path;
  switch (first) {
    case undefined:
      return <Inbox query={query} />;
    case "tickets":
      return second ? <TicketPage key={second} number={second} /> : <NotFound />;
    case "branches":
      return <Branches query={query} />;
    case "administration":
      return <Administration section={second ?? ""} />;
    case "password":
      return (
        <div className="narrow">
          <PasswordForm name={me} onChanged={() => go("#/")} />
        </div>
      );
    default:
      return <NotFound />;
  }
}
