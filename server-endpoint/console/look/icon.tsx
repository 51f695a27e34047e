// Icons, drawn here. Decoration only: whoever shows one says the same in words beside it.
const PATHS = {
  alert: "M12 3 2.5 20h19L12 3Z M12 10v4 M12 17.2v.1",
  back: "M15 5l-7 7 7 7",
  check: "M4 12.5l5 5L20 6.5",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z M12 7.5V12l3 2",
  close: "M6 6l12 12 M18 6 6 18",
  cross: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18Z M9 9l6 6 M15 9l-6 6",
  down: "M6 9l6 6 6-6",
  download: "M12 4v11 M7 10.5l5 5 5-5 M5 20h14",
  file: "M7 3h7l5 5v13H7a1 1 0 0 1-1-1V4a1 1 0 0 1 1-1Z M14 3v5h5",
  gear: "M12 8.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7Z M12 2.5v3 M12 18.5v3 M2.5 12h3 M18.5 12h3 M5.3 5.3l2.1 2.1 M16.6 16.6l2.1 2.1 M18.7 5.3l-2.1 2.1 M7.4 16.6l-2.1 2.1",
  link: "M9 15l6-6 M10.5 6.5l2-2a4 4 0 0 1 6 6l-2 2 M13.5 17.5l-2 2a4 4 0 0 1-6-6l2-2",
  lock: "M6 11h12v9H6z M8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  list: "M4 6h.1 M8 6h12 M4 12h.1 M8 12h12 M4 18h.1 M8 18h12",
  loop: "M20 12a8 8 0 1 1-2.4-5.7 M20 4v4.5h-4.5",
  people:
    "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7Z M3 20c0-3.5 2.5-6 6-6s6 2.5 6 6 M16 4.6a3.5 3.5 0 0 1 0 6.3 M17.5 14.5c2.2.8 3.5 2.8 3.5 5.5",
  plus: "M12 4v16 M4 12h16",
  reply: "M9 6 3.5 11.5 9 17 M4 11.5h9a7 7 0 0 1 7 7",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z M15.5 15.5 20 20",
  shield: "M12 3l7.5 3v5.5c0 4.5-3 8-7.5 9.5-4.5-1.5-7.5-5-7.5-9.5V6L12 3Z",
  tag: "M4 4h8l8 8-8 8-8-8V4Z M8 8v.1",
  unlink: "M10.5 6.5l2-2a4 4 0 0 1 6 6l-2 2 M13.5 17.5l-2 2a4 4 0 0 1-6-6l2-2 M4 4l16 16",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
