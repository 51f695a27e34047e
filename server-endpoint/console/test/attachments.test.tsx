// Files for a reply: dropped or chosen, on their way, judged, and sent only when they are clean.
import { act, fireEvent, screen, waitFor, within } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { openConsole } from "./console.tsx";
import { MockDesk, type MockUpload } from "./mock.ts";

const PATH = "#/tickets/LYN-000001";
const composer = () => screen.findByRole("region", { name: "Answer" });

async function answering(central: MockDesk) {
  vi.useFakeTimers({ shouldAdvanceTime: true });
  central.addTicket({ number: "LYN-000001", subject: "Till freezes", state: "OPEN" });
  const user = openConsole(central, PATH);
  await user.type(await screen.findByRole("textbox", { name: "Reply to LYN" }), "See the manual");
  return user;
}

async function choose(...names: string[]) {
  const picker = (await composer()).querySelector('input[type="file"]') as HTMLInputElement;
  fireEvent.change(picker, { target: { files: names.map((name) => new File(["x"], name)) } });
}

const line = async (name: string) =>
  (await screen.findByText(name, { selector: ".file-name" })).closest("li") as HTMLElement;
const later = () => act(() => vi.advanceTimersByTimeAsync(2_100));

function going(central: MockDesk, index = 0): MockUpload {
  const one = central.uploads[index];
  if (!one) throw new Error("nothing is on its way");
  return one;
}

test("a file goes up with its progress, is checked, and goes with the reply when it is clean", async () => {
  const central = new MockDesk();
  const user = await answering(central);
  await choose("Manual é & more.pdf");
  const upload = going(central);
  expect(upload.address).toBe("/desk/v1/files?ticket=LYN-000001&name=Manual+%C3%A9+%26+more.pdf");
  expect(upload.headers).toMatchObject({
    "Branchline-Console": "1",
    "Content-Type": "application/octet-stream",
  });
  act(() => upload.went(0.4));
  const progress = screen.getByRole("progressbar", { name: "Uploading Manual é & more.pdf" });
  expect((progress as HTMLProgressElement).value).toBe(0.4);
  await act(async () => upload.taken("f-1", "Manual é & more.pdf"));
  const file = await line("Manual é & more.pdf");
  within(file).getByText(/Being checked before it may be sent/);
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect((await screen.findByRole("alert")).textContent).toMatch(/still being checked/);
  expect(central.commands).toHaveLength(0);
  central.verdicts.set("f-1", { state: "clean" });
  await later();
  await within(file).findByText("Clean");
  await user.click(screen.getByRole("button", { name: "Send" }));
  await waitFor(() => expect(central.commands[0]).toMatchObject({ kind: "reply", files: ["f-1"] }));
  await waitFor(() => expect(screen.queryByRole("list", { name: "Files to send" })).toBeNull());
});

test("an infected file is shown as such, with what was found, and keeps the reply back until it is removed", async () => {
  const central = new MockDesk();
  const user = await answering(central);
  await choose("invoice.exe");
  await act(async () => going(central).taken("f-1", "invoice.exe"));
  central.verdicts.set("f-1", { state: "infected", detail: "Eicar-Test" });
  await later();
  const file = await line("invoice.exe");
  await within(file).findByText("Infected");
  within(file).getByText("Found: Eicar-Test");
  await user.click(screen.getByRole("button", { name: "Send" }));
  expect(central.commands).toHaveLength(0);
  await user.click(within(file).getByRole("button", { name: "Remove invoice.exe" }));
  await user.click(screen.getByRole("button", { name: "Send" }));
  await waitFor(() => expect(central.commands[0]).toMatchObject({ kind: "reply", files: [] }));
});

test("what failed says why; what may pass is tried again, what is wrong is not", async () => {
  const central = new MockDesk();
  const user = await answering(central);
  await choose("one.bin", "two.bin");
  await act(async () => {
    going(central, 0).answer(503, {
      type: "urn:branchline:problem:busy",
      class: "try_again",
      detail: "busy",
    });
    going(central, 1).answer(413, {
      type: "urn:branchline:problem:too-large",
      class: "fix_input",
      detail: "a file for a reply has at most 268435456 bytes",
    });
  });
  const large = await line("two.bin");
  await within(large).findByText(/at most 268435456 bytes/);
  expect(within(large).queryByRole("button", { name: /Try again/ })).toBeNull();
  const busy = await line("one.bin");
  await user.click(within(busy).getByRole("button", { name: "Try again one.bin" }));
  await act(async () => going(central, 2).taken("f-1", "one.bin"));
  within(busy).getByText(/Being checked/);
});

test("a file that is removed on its way is stopped, and nobody waits for it", async () => {
  const central = new MockDesk();
  const user = await answering(central);
  await choose("large.iso");
  await user.click(within(await line("large.iso")).getByRole("button", { name: "Remove large.iso" }));
  expect(going(central).stopped).toBe(true);
  await user.click(screen.getByRole("button", { name: "Send" }));
  await waitFor(() => expect(central.commands).toHaveLength(1));
});

test("files are dropped on a reply; on a note they are let fall, and the page stays", async () => {
  const central = new MockDesk();
  const user = await answering(central);
  const drop = (target: HTMLElement) => {
    const dataTransfer = { types: ["Files"], files: [new File(["x"], "dropped.pdf")], dropEffect: "" };
    const went = fireEvent.dragOver(target, { dataTransfer });
    return fireEvent.drop(target, { dataTransfer }) || went;
  };
  expect(drop(await composer())).toBe(false);
  expect(central.uploads).toHaveLength(1);
  await line("dropped.pdf");
  await user.click(screen.getByRole("radio", { name: "Internal note" }));
  expect(drop(await composer())).toBe(false);
  expect(central.uploads).toHaveLength(1);
});

test("a reply takes twenty files; of more it is said that they were left out", async () => {
  const central = new MockDesk();
  await answering(central);
  await choose(...Array.from({ length: 23 }, (_, index) => `${index}.txt`));
  expect(central.uploads).toHaveLength(20);
  expect((await screen.findByRole("alert")).textContent).toMatch(/20 files at most; 3 were left out/);
});

test("where nobody scans, whoever may release does so here", async () => {
  const central = new MockDesk();
  const user = await answering(central);
  await choose("form.pdf");
  await act(async () => going(central).taken("f-1", "form.pdf"));
  central.verdicts.set("f-1", { state: "held" });
  await later();
  const file = await line("form.pdf");
  await user.click(await within(file).findByRole("button", { name: "Release…" }));
  await user.type(screen.getByRole("textbox", { name: "Reason" }), "our own form");
  central.verdicts.set("f-1", { state: "released", detail: "paula: our own form" });
  await user.click(screen.getByRole("button", { name: "Release this file" }));
  await within(file).findByText("Released by a person");
});
