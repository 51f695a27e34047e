// What stands around every page: the way about, banners that say when something is not as it should be, and
// the one place where the console says what it did.
import { Icon, Notice } from "@branchline/look";
import { type ReactNode, useEffect, useRef, useState } from "react";
import { useDesk } from "../desk.tsx";
import mark from "../mark.svg";
import { href, parseRoute, useHash } from "../route.ts";
import { useSpeech } from "../words/index.tsx";
import { LanguageChoice, ThemeChoice } from "./choices.tsx";
import { ShortcutsDialog, useShortcuts } from "./shortcuts.tsx";

export function Frame({ children }: { children: ReactNode }) {
  const { w } = useSpeech();
  const desk = useDesk();
  const [help, setHelp] = useState(false);
  const main = useRef<HTMLElement>(null);
  useShortcuts({ "?": () => setHelp(true) });
  return (
    <>
      <button type="button" className="button skip" onClick={() => main.current?.focus()}>
        {w.nav.skip}
      </button>
      <Head onHelp={() => setHelp(true)} />
      <Banners />
      <main id="main" ref={main} tabIndex={-1}>
        {children}
      </main>
      <div className="said" role="status">
        {desk.said && <p>{desk.said}</p>}
      </div>
      {help && <ShortcutsDialog onClose={() => setHelp(false)} />}
    </>
  );
}

function Head({ onHelp }: { onHelp: () => void }) {
  const { w } = useSpeech();
  const { may } = useDesk();
  const { path } = parseRoute(useHash());
  const at = path[0] ?? "";
  const places: Array<[string, string, boolean]> = [
    ["", w.nav.inbox, at === "" || at === "tickets"],
    ["branches", w.nav.branches, at === "branches"],
  ];
  if (may("ADMINISTER")) places.push(["administration", w.nav.administration, at === "administration"]);
  return (
    <header className="top">
      <span className="brand">
        <img src={mark} alt="" width="22" height="22" />
        {w.product}
      </span>
      <nav aria-label={w.nav.main}>
        <ul>
          {places.map(([to, word, here]) => (
            <li key={to}>
              <a href={href(to ? [to] : [])} aria-current={here ? "page" : undefined}>
                {word}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <Account onHelp={onHelp} />
    </header>
  );
}

function Account({ onHelp }: { onHelp: () => void }) {
  const { w } = useSpeech();
  const desk = useDesk();
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const hash = useHash();
  // biome-ignore lint/correctness/useExhaustiveDependencies: whoever goes elsewhere is done here
  useEffect(() => setOpen(false), [hash]);
  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener("pointerdown", outside);
    return () => document.removeEventListener("pointerdown", outside);
  }, [open]);
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: Escape closes what is open inside
    <div
      className="account"
      ref={box}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !open) return;
        setOpen(false);
        button.current?.focus();
      }}
    >
      <button
        ref={button}
        type="button"
        className="button quiet"
        aria-expanded={open}
        aria-controls="account-panel"
        onClick={() => setOpen(!open)}
      >
        <span className="unseen">{w.nav.account}: </span>
        {desk.me.name}
        <Icon name="down" />
      </button>
      <div id="account-panel" className="panel" hidden={!open}>
        <p className="soft small">{w.nav.signedInAs(desk.me.name)}</p>
        <LanguageChoice />
        <ThemeChoice />
        <button
          type="button"
          className="button"
          onClick={() => {
            setOpen(false);
            onHelp();
          }}
        >
          {w.nav.shortcuts} <kbd>?</kbd>
        </button>
        <a className="button" href={href(["password"])}>
          {w.nav.password}
        </a>
        <button type="button" className="button" onClick={desk.signOut}>
          {w.nav.signOut}
        </button>
      </div>
    </div>
  );
}

/** The region is always there, so that a screen reader hears what comes into it. */
function Banners() {
  const { w, when } = useSpeech();
  const desk = useDesk();
  const wasLost = useRef(false);
  const { lost, say } = desk;
  useEffect(() => {
    if (wasLost.current && !lost) say(w.banner.back);
    wasLost.current = lost;
  }, [lost, say, w]);
  return (
    <div className="banners" aria-live="polite">
      {desk.behindSince && (
        <Notice tone="warn" icon="clock">
          {w.banner.behind(when(desk.behindSince))}
        </Notice>
      )}
      {lost && (
        <Notice
          tone="warn"
          icon="unlink"
          action={
            <button
              type="button"
              className="button small"
              aria-disabled={desk.link === "connecting"}
              onClick={desk.reconnect}
            >
              {desk.link === "connecting" ? w.banner.connecting : w.banner.reconnect}
            </button>
          }
        >
          {w.banner.lost}
        </Notice>
      )}
    </div>
  );
}
