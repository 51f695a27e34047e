// Whether somebody is at the keyboard. What the console asks by itself, while nobody is there, must not keep
// a session open: it says so, and central ends the session in its time.

const PRESENT_FOR_MS = 60_000;

let last = Date.now();

export const isAbsent = (now = Date.now()): boolean => now - last > PRESENT_FOR_MS;

for (const kind of ["keydown", "pointerdown", "wheel"] as const) {
  window.addEventListener(
    kind,
    () => {
      last = Date.now();
    },
    { capture: true, passive: true },
  );
}
