// The frame: who is where, the line on the connection that is always visible, and what is told from outside.
import { Icon, type IconName, Notice } from "@branchline/look";
import { useCallback, useEffect, useRef, useState } from "react";
import { useBackend } from "./api/backend.ts";
import type { Announcement, DraftView, Mood, Settings, Situation, Startup } from "./api/types.ts";
import { NewTicket } from "./pages/new-ticket.tsx";
import { SettingsPage } from "./pages/settings.tsx";
import { TicketPage } from "./pages/ticket.tsx";
import { Tickets } from "./pages/tickets.tsx";
import { type Outside, OutsideContext } from "./parts/outside.ts";
import { Speech, wordsOf } from "./words/index.ts";

export type Place =
  | { at: "list" }
  | { at: "new" }
  | { at: "ticket"; number: string; news?: number }
  | { at: "settings" };

const MOOD_ICONS: Record<Mood, IconName> = {
  good: "check",
  calm: "loop",
  warn: "unlink",
  bad: "alert",
  plain: "clock",
};

export function App() {
  const backend = useBackend();
  const [startup, setStartup] = useState<Startup | null>(null);
  const [situation, setSituation] = useState<Situation | null>(null);
  const [drafts, setDrafts] = useState<DraftView[]>([]);
  const [place, setPlace] = useState<Place>({ at: "list" });
  const [changes, setChanges] = useState(0);
  const [told, setTold] = useState<Announcement | null>(null);
  const [outside, setOutside] = useState<Outside>({ over: false, added: null, trouble: null });
  const main = useRef<HTMLElement>(null);

  const took = useCallback((fresh: Startup) => {
    setStartup(fresh);
    setSituation(fresh.situation);
    setDrafts(fresh.drafts);
    document.documentElement.lang = fresh.language;
    if (fresh.settings.theme) document.documentElement.dataset.theme = fresh.settings.theme;
    else delete document.documentElement.dataset.theme;
  }, []);

  useEffect(() => {
    void backend.start().then(took);
    backend.follow((news) => {
      switch (news.kind) {
        case "situation":
          return setSituation(news.situation);
        case "changed":
          return setChanges((count) => count + 1);
        case "drafts":
          return setDrafts(news.drafts);
        case "announce":
        case "saved":
          setChanges((count) => count + 1);
          return setTold(news.announcement);
        case "open":
          setTold(null);
          return setPlace({ at: "ticket", number: news.number });
        case "new":
          return setPlace({ at: "new" });
        case "dragging":
          return setOutside((now) => ({ ...now, over: news.over }));
        case "added":
          return setOutside({ over: false, added: news.draft, trouble: news.trouble });
      }
    });
  }, [backend, took]);

  const go = useCallback((next: Place) => setPlace(next), []);
  const name = place.at === "ticket" ? `ticket ${place.number}` : place.at;
  // A new page begins at its heading, for the eye and for a screen reader.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the page's name is what it hangs on
  useEffect(() => {
    window.scrollTo(0, 0);
    const first = main.current?.querySelector<HTMLElement>("[data-first]");
    (first ?? main.current)?.focus({ preventScroll: true });
  }, [name]);

  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (document.querySelector("dialog[open]")) return;
      const command = event.ctrlKey || event.metaKey;
      if (command && event.key.toLowerCase() === "n") {
        event.preventDefault();
        setPlace({ at: "new" });
      } else if (event.key === "Escape" && place.at !== "list" && place.at !== "new") {
        setPlace({ at: "list" });
      }
    };
    window.addEventListener("keydown", pressed);
    return () => window.removeEventListener("keydown", pressed);
  }, [place.at]);

  if (!startup || !situation) return null;
  const words = wordsOf(startup.language);
  const tab = (at: "list" | "new" | "settings", icon: IconName, label: string) => (
    <button
      type="button"
      className="tab"
      aria-current={place.at === at || (at === "list" && place.at === "ticket") ? "page" : undefined}
      onClick={() => go({ at })}
    >
      <Icon name={icon} />
      {label}
    </button>
  );
  return (
    <Speech value={words}>
      <OutsideContext value={outside}>
        <a className="skip" href="#main">
          {words.skip}
        </a>
        <header className="top">
          <nav aria-label={words.app}>
            {tab("new", "plus", words.newTicket)}
            {tab("list", "list", words.tickets)}
            <span className="stretch" />
            {tab("settings", "gear", words.settings)}
          </nav>
          <section className={`link ${situation.mood}`} aria-label={words.linkState} role="status">
            <Icon name={MOOD_ICONS[situation.mood]} />
            <p>
              <strong>{situation.headline}</strong> <span>{situation.detail}</span>
            </p>
          </section>
        </header>
        <main id="main" ref={main} tabIndex={-1}>
          {told && (
            <Notice
              tone="calm"
              icon="reply"
              action={
                <span className="actions">
                  <button
                    type="button"
                    className="button small"
                    onClick={() => {
                      go({ at: "ticket", number: told.number, news: changes });
                      setTold(null);
                    }}
                  >
                    {words.showIt}
                  </button>
                  <button type="button" className="button quiet small" onClick={() => setTold(null)}>
                    {words.close}
                  </button>
                </span>
              }
            >
              <strong>{told.title}</strong> {told.body}
            </Notice>
          )}
          {place.at === "list" && <Tickets go={go} changes={changes} drafts={drafts} situation={situation} />}
          {place.at === "new" && <NewTicket go={go} />}
          {place.at === "ticket" && (
            <TicketPage
              key={place.number}
              number={place.number}
              news={place.news}
              go={go}
              changes={changes}
            />
          )}
          {place.at === "settings" && (
            <SettingsPage
              startup={startup}
              change={(settings: Settings) => backend.setSettings(settings).then(took)}
            />
          )}
        </main>
      </OutsideContext>
    </Speech>
  );
}
