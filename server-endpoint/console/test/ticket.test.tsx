// A ticket: what is written is never lost, notes are never mistaken for replies, and data is never markup.
import { act, screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { heading, openConsole } from "./console.tsx";
import { MockDesk } from "./mock.ts";

const PATH = "#/tickets/LYN-000001";

function desk(): MockDesk {
  const desk = new MockDesk();
  desk.addTicket({ number: "LYN-000001", subject: "Till freezes", state: "OPEN" });
  return desk;
}

test("a stale reply says what changed, keeps the text, and is sent on request with what is now seen", async () => {
  const central = desk();
  const ticket = central.tickets[0];
  if (!ticket) throw new Error("no ticket");
  const user = openConsole(central, PATH);
  await heading(/LYN-000001/);
  const box = await screen.findByRole("textbox", { name: "Reply to LYN" });
  await user.type(box, "Try again now");
  // Somebody is faster, and the live connection does not say so.
  central.sockets.clear();
  central.say(ticket, { kind: "REPLY", who: "ahmed", said: "Fixed it" });
  await user.click(screen.getByRole("button", { name: "Send" }));
  const alert = await screen.findByRole("alert");
  expect(alert.textContent).toContain("Somebody changed this ticket first");
  expect(alert.textContent).toContain("Fixed it");
  expect(central.commands).toHaveLength(0);
  expect((box as HTMLTextAreaElement).value).toBe("Try again now");
  await user.click(within(alert).getByRole("button", { name: "Send it all the same" }));
  await waitFor(() => expect(central.commands).toHaveLength(1));
  expect(central.commands[0]).toMatchObject({ kind: "reply", text: "Try again now" });
  await waitFor(() => expect((box as HTMLTextAreaElement).value).toBe(""));
});

test("central's ledger away: the text stays, and it is said what to do; the same command is given again", async () => {
  const central = desk();
  const user = openConsole(central, PATH);
  const box = await screen.findByRole("textbox", { name: "Reply to LYN" });
  await user.type(box, "Hello");
  central.failing = { status: 503, type: "unavailable", class: "try_again" };
  await user.click(screen.getByRole("button", { name: "Send and wait for branch" }));
  expect((await screen.findByRole("alert")).textContent).toMatch(/ledger is away/);
  expect((box as HTMLTextAreaElement).value).toBe("Hello");
  central.failing = null;
  await user.click(screen.getByRole("button", { name: "Send and wait for branch" }));
  await waitFor(() => expect(central.commands).toHaveLength(1));
  expect(Object.entries(central.commands[0] ?? {})).toContainEqual(["then", "waiting"]);
});

test("an answer that was lost is asked for again under the same id", async () => {
  const central = desk();
  const ids: unknown[] = [];
  const user = openConsole(central, PATH);
  const whole = globalThis.fetch;
  let lose = true;
  globalThis.fetch = async (input, init) => {
    if (String(input).endsWith("/commands")) {
      ids.push((JSON.parse(String(init?.body)) as { id: string }).id);
      if (lose) throw new TypeError("network");
    }
    return whole(input, init);
  };
  await user.type(await screen.findByRole("textbox", { name: "Reply to LYN" }), "Hello");
  await user.click(screen.getByRole("button", { name: "Send" }));
  await screen.findByRole("alert");
  lose = false;
  await user.click(screen.getByRole("button", { name: "Send" }));
  await waitFor(() => expect(central.commands).toHaveLength(1));
  expect(ids).toHaveLength(2);
  expect(ids[0]).toBe(ids[1]);
});

test("a draft survives the page, reply and note apart", async () => {
  const central = desk();
  const user = openConsole(central, PATH);
  await user.type(await screen.findByRole("textbox", { name: "Reply to LYN" }), "Half a reply");
  await user.click(screen.getByRole("radio", { name: "Internal note" }));
  await user.type(screen.getByRole("textbox", { name: /never sees it/ }), "Half a note");
  await user.click(screen.getAllByRole("link", { name: "Inbox" })[0] as HTMLElement);
  await heading("Inbox");
  await user.click(screen.getByRole("link", { name: /LYN-000001/ }));
  expect(((await screen.findByRole("textbox", { name: "Reply to LYN" })) as HTMLTextAreaElement).value).toBe(
    "Half a reply",
  );
  await user.click(screen.getByRole("radio", { name: "Internal note" }));
  expect((screen.getByRole("textbox", { name: /never sees it/ }) as HTMLTextAreaElement).value).toBe(
    "Half a note",
  );
});

test("a note is marked as one, and goes as one", async () => {
  const central = desk();
  const user = openConsole(central, PATH);
  await screen.findByRole("textbox", { name: "Reply to LYN" });
  await user.keyboard("n");
  await user.keyboard("Between us{Control>}{Enter}{/Control}");
  await waitFor(() => expect(central.commands[0]).toMatchObject({ kind: "note", text: "Between us" }));
  expect(await screen.findByText("Internal: the branch never sees this")).toBeTruthy();
});

test("files say their verdict in words; only readable ones can be downloaded, and held ones released", async () => {
  const central = desk();
  const ticket = central.tickets[0];
  if (!ticket) throw new Error("no ticket");
  ticket.files = [
    { id: "a", name: "clean.txt", size: 10, state: "clean", detail: null, readable: true },
    { id: "b", name: "bad.exe", size: 10, state: "infected", detail: "Win.Test", readable: false },
    { id: "c", name: "big.iso", size: 10, state: "too_large", detail: null, readable: false },
    { id: "d", name: "new.bin", size: 10, state: "of a newer central", detail: null, readable: false },
  ];
  openConsole(central, PATH);
  const line = async (name: string) =>
    within((await screen.findByText(name, { selector: ".file-name" })).closest("li") as HTMLElement);
  const link = (await line("clean.txt")).getByRole("link", { name: /Download/ });
  expect(link.getAttribute("href")).toBe("/desk/v1/files/a");
  expect(link.getAttribute("download")).toBe("clean.txt");
  const infected = await line("bad.exe");
  expect(infected.getByText("Infected")).toBeTruthy();
  expect(infected.getByText("Found: Win.Test")).toBeTruthy();
  expect(infected.queryByRole("link")).toBeNull();
  expect(infected.queryByRole("button")).toBeNull();
  expect((await line("big.iso")).getByRole("button", { name: "Release…" })).toBeTruthy();
  expect((await line("new.bin")).getByText("Unknown state")).toBeTruthy();
});

test("whatever people write is text", async () => {
  const central = new MockDesk();
  const evil = `<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>`;
  const ticket = central.addTicket(
    { number: "LYN-000001", subject: evil, reporter: evil, category: evil, tags: [evil] },
    {
      description: evil,
      contact: evil,
      asset: evil,
      files: [{ id: "a", name: evil, size: 1, state: "infected", detail: evil, readable: false }],
    },
  );
  central.say(ticket, { kind: "COMMENT", who: evil, said: evil });
  central.say(ticket, { kind: "MOVED", who: evil, said: evil });
  openConsole(central, PATH);
  await screen.findAllByText(evil, { exact: false });
  expect(document.querySelector("img[src=x], main script")).toBeNull();
  expect(Object.hasOwn(window, "hacked")).toBe(false);
});

test("a comment that arrives while one writes shows, is said, and moves the version that is answered", async () => {
  const central = desk();
  const ticket = central.tickets[0];
  if (!ticket) throw new Error("no ticket");
  const user = openConsole(central, PATH);
  await user.type(await screen.findByRole("textbox", { name: "Reply to LYN" }), "Hello");
  await waitFor(() => expect(central.sockets.size).toBe(1));
  act(() => central.say(ticket, { kind: "COMMENT", who: "Claire", said: "It works again" }));
  expect(await screen.findByText(/While you were writing: Claire commented/)).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Send" }));
  await waitFor(() => expect(central.commands).toHaveLength(1));
});

test("arrow keys in a list change nothing until it is applied", async () => {
  const central = desk();
  const user = openConsole(central, PATH);
  await user.selectOptions(await screen.findByRole("combobox", { name: "State" }), "CLOSED");
  await user.selectOptions(screen.getByRole("combobox", { name: "Priority" }), "HIGH");
  expect(central.commands).toHaveLength(0);
  await user.click(screen.getByRole("button", { name: "Apply" }));
  await waitFor(() => expect(central.commands.map((one) => one.kind)).toEqual(["classify", "move"]));
});

test("who may only read can write nothing", async () => {
  const central = desk();
  central.rights = ["READ"];
  openConsole(central, PATH);
  await heading(/LYN-000001/);
  expect(await screen.findByText("You may read here, and not answer.")).toBeTruthy();
  expect(screen.queryByRole("button", { name: "Send" })).toBeNull();
  expect(screen.queryByRole("link", { name: "Administration" })).toBeNull();
});

test("a merged ticket leads to the one that goes on, and takes nothing", async () => {
  const central = new MockDesk();
  central.addTicket({ number: "LYN-000001", state: "MERGED" }, { mergedInto: "LYN-000002" });
  openConsole(central, PATH);
  expect((await screen.findByRole("link", { name: "Merged into LYN-000002" })).getAttribute("href")).toBe(
    "#/tickets/LYN-000002",
  );
  expect(screen.queryByRole("textbox")).toBeNull();
});

test("an unknown number is said to be unknown", async () => {
  openConsole(desk(), "#/tickets/XXX-000099");
  await heading("There is nothing here");
});
