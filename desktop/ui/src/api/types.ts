// Made from desktop/controller/src/view.rs; `BRANCHLINE_WRITE_API=1 cargo test --workspace --lib \
// the_types_in_the_window` writes it anew.
export type Mood = "good" | "calm" | "warn" | "bad" | "plain";
export type Presence = "looking" | "here" | "away";
export type Situation = { 
/**
 * Whether the agent answers.
 */
agent: Presence, 
/**
 * For colour, icon and the tray.
 */
mood: Mood, 
/**
 * How the way to central is.
 */
headline: string, 
/**
 * What that means for what was written.
 */
detail: string, 
/**
 * Who sits here, as the agent knows them.
 */
user: string, 
/**
 * Whether they may see what colleagues filed.
 */
colleagues: boolean, };
export type TicketRow = { 
/**
 * Such as `LYN-000042`.
 */
number: string, 
/**
 * As filed.
 */
subject: string, 
/**
 * When it was filed, in words.
 */
filed: string, 
/**
 * Who filed it.
 */
reporter: string, 
/**
 * Where it stands.
 */
mood: Mood, 
/**
 * The same in words.
 */
standing: string, 
/**
 * Answers that this person has not opened yet.
 */
unread: number, 
/**
 * Answers in all.
 */
replies: number, 
/**
 * Files in all.
 */
files: number, };
export type TicketPage = { 
/**
 * Newest first.
 */
rows: Array<TicketRow>, 
/**
 * Where the next page begins; absent on the last.
 */
next: number | null, };
export type Step = "saved" | "sent" | "received" | "checked" | "accepted";
export type RungState = "done" | "now" | "ahead" | "wrong";
export type Rung = { 
/**
 * Which.
 */
step: Step, 
/**
 * Its name.
 */
name: string, 
/**
 * How it is.
 */
state: RungState, 
/**
 * What there is to say of it; empty where there is nothing.
 */
words: string, };
export type Trouble = { 
/**
 * What is wrong.
 */
what: string, 
/**
 * What to do.
 */
todo: string, };
export type FileView = { 
/**
 * Names it.
 */
id: string, 
/**
 * As filed.
 */
name: string, 
/**
 * Its size in words.
 */
size: string, 
/**
 * Where it stands.
 */
mood: Mood, 
/**
 * The same in words.
 */
standing: string, 
/**
 * How much of it has gone, while it is going.
 */
percent: number | null, 
/**
 * What is wrong with it.
 */
trouble: Trouble | null, };
export type EntryKind = "comment" | "answer" | "withdrawal";
export type GivenFileView = { 
/**
 * Names it.
 */
id: string, 
/**
 * As central named it, fit to be shown.
 */
name: string, 
/**
 * Its size in words.
 */
size: string, 
/**
 * Where it stands.
 */
mood: Mood, 
/**
 * The same in words.
 */
standing: string, 
/**
 * It is on this computer, so that it can be saved somewhere.
 */
here: boolean, };
export type FileKept = { "outcome": "kept", 
/**
 * Where, in a sentence.
 */
words: string, } | { "outcome": "left" } | { "outcome": "refused", 
/**
 * Why, and what to do.
 */
trouble: Trouble, };
export type EntryView = { 
/**
 * Whose word.
 */
kind: EntryKind, 
/**
 * Who.
 */
by: string, 
/**
 * When, in words.
 */
at: string, 
/**
 * What.
 */
text: string, 
/**
 * How far it has come; empty for answers.
 */
standing: string, 
/**
 * For colour and icon.
 */
mood: Mood, 
/**
 * Files that central gave with it.
 */
files: Array<GivenFileView>, };
export type TicketView = { 
/**
 * Such as `LYN-000042`.
 */
number: string, 
/**
 * As filed.
 */
subject: string, 
/**
 * As filed.
 */
description: string, 
/**
 * The category's name.
 */
category: string, 
/**
 * The priority's word.
 */
priority: string, 
/**
 * The device or workplace.
 */
asset: string, 
/**
 * Whom to ask.
 */
contact: string, 
/**
 * Who filed it.
 */
reporter: string, 
/**
 * When, in words.
 */
filed: string, 
/**
 * Where it stands at central, or here.
 */
standing: string, 
/**
 * For colour and icon.
 */
mood: Mood, 
/**
 * How far it has come.
 */
ladder: Array<Rung>, 
/**
 * What is wrong with it.
 */
trouble: Trouble | null, 
/**
 * Its files.
 */
files: Array<FileView>, 
/**
 * What was said, in order.
 */
entries: Array<EntryView>, 
/**
 * Whether comments and files can be added, and it can be taken back.
 */
open: boolean, 
/**
 * Whether files are on their way, so that it is worth looking again soon.
 */
moving: boolean, };
export type CategoryChoice = { 
/**
 * What the ticket carries.
 */
code: string, 
/**
 * What people read.
 */
name: string, 
/**
 * What to write.
 */
hint: string, 
/**
 * What the form begins with.
 */
priority: string, };
export type Form = { 
/**
 * What a ticket can be about; empty before central has said so.
 */
categories: Array<CategoryChoice>, 
/**
 * Characters of a subject.
 */
subject_chars: number, 
/**
 * Characters of a text.
 */
text_chars: number, 
/**
 * Characters of a device or workplace.
 */
asset_chars: number, 
/**
 * Characters of a telephone number.
 */
phone_chars: number, };
export type DraftText = { 
/**
 * One line; not of a comment.
 */
subject: string, 
/**
 * Any number of lines.
 */
text: string, 
/**
 * A category's code, or nothing.
 */
category: string, 
/**
 * A priority's word, or nothing.
 */
priority: string, 
/**
 * The device or workplace.
 */
asset: string, 
/**
 * Where to call back.
 */
phone: string, };
export type DraftFileView = { 
/**
 * Names it.
 */
id: string, 
/**
 * Its name.
 */
name: string, 
/**
 * Its size in words.
 */
size: string, 
/**
 * It is saved with the agent.
 */
saved: boolean, 
/**
 * How much of it the agent has taken, while it does.
 */
percent: number | null, 
/**
 * Why it cannot be attached.
 */
trouble: string | null, };
export type DraftView = { 
/**
 * Names it.
 */
id: string, 
/**
 * The ticket that it adds to; absent for a new one.
 */
on: string | null, 
/**
 * What was written.
 */
text: DraftText, 
/**
 * Its files.
 */
files: Array<DraftFileView>, 
/**
 * It was handed in, and waits for the agent.
 */
handed_in: boolean, 
/**
 * The number, where the ticket itself is saved and its files are not yet.
 */
number: string | null, 
/**
 * Why it could not be saved.
 */
trouble: string | null, };
export type HandedIn = { "outcome": "saved", 
/**
 * The ticket.
 */
number: string, 
/**
 * Said to the person.
 */
words: string, } | { "outcome": "waiting", 
/**
 * Said to the person.
 */
words: string, } | { "outcome": "refused", 
/**
 * Said to the person.
 */
words: string, } | { "outcome": "partly", 
/**
 * The ticket.
 */
number: string, 
/**
 * Said to the person.
 */
words: string, };
export type Settings = { 
/**
 * `en`, `fr`, `de`, or nothing for the system's.
 */
language: string, 
/**
 * `light`, `dark`, or nothing for the system's.
 */
theme: string, 
/**
 * Whether answers and problems are announced by the system.
 */
notifications: boolean, 
/**
 * Whether there is an icon in the tray; closing the window then keeps the program.
 */
tray: boolean, 
/**
 * Whether it starts, hidden, when this person logs on; where a package asks it to.
 */
autostart: boolean, };
export type Startup = { 
/**
 * The language in use: `en`, `fr` or `de`.
 */
language: string, 
/**
 * What is switched how.
 */
settings: Settings, 
/**
 * How things are.
 */
situation: Situation, 
/**
 * What has been begun.
 */
drafts: Array<DraftView>, 
/**
 * What version this is.
 */
version: string, };
export type Announcement = { 
/**
 * The ticket.
 */
number: string, 
/**
 * One line.
 */
title: string, 
/**
 * Which ticket it is on.
 */
body: string, };
export type Told = { "kind": "situation", 
/**
 * In one line.
 */
situation: Situation, } | { "kind": "changed" } | { "kind": "drafts", 
/**
 * All of it.
 */
drafts: Array<DraftView>, } | { "kind": "announce", 
/**
 * What.
 */
announcement: Announcement, } | { "kind": "saved", 
/**
 * Which.
 */
announcement: Announcement, } | { "kind": "open", 
/**
 * Which.
 */
number: string, } | { "kind": "new" } | { "kind": "dragging", 
/**
 * Whether they are.
 */
over: boolean, } | { "kind": "added", 
/**
 * The draft as it is now.
 */
draft: DraftView | null, 
/**
 * Why not.
 */
trouble: string | null, };
