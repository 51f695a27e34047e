// What the console and the desktop client share, and nothing more.
export { Icon, type IconName } from "./icon.tsx";
export { Dialog, Field, Mark, Notice, type Tone } from "./parts.tsx";
