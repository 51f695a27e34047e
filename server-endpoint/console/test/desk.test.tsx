// Around the pages: the way in, banners, languages, and what administrators see.
import { act, screen, waitFor } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { ask } from "../src/api/call.ts";
import { de } from "../src/words/de.ts";
import { en } from "../src/words/en.ts";
import { fr } from "../src/words/fr.ts";
import { heading, openConsole } from "./console.tsx";
import { agent, MockDesk, type MockSocket } from "./mock.ts";

test("sign-in: wrong, then a password that must be changed, then in", async () => {
  const desk = new MockDesk();
  desk.signedIn = false;
  desk.mustChange = true;
  const user = openConsole(desk);
  await heading("Sign in to the desk");
  await user.type(screen.getByRole("textbox", { name: "Name" }), "paula");
  await user.type(screen.getByLabelText("Password"), "wrong{Enter}");
  expect((await screen.findByRole("alert")).textContent).toBe("Name or password is wrong.");
  await user.clear(screen.getByLabelText("Password"));
  await user.type(screen.getByLabelText("Password"), `${desk.password}{Enter}`);
  await heading("Choose a new password");
  await user.type(screen.getByLabelText("New password"), "short");
  await user.type(screen.getByLabelText("New password again"), "short{Enter}");
  expect((await screen.findByRole("alert")).textContent).toMatch(/At least 12/);
  await user.type(screen.getByLabelText("New password"), " and then some more");
  await user.type(screen.getByLabelText("New password again"), " and then some more{Enter}");
  await heading("Inbox");
  expect(desk.password).toBe("short and then some more");
});

test("a session that ended leads to the door, and says that the text is kept", async () => {
  const desk = new MockDesk();
  desk.addTicket({ number: "LYN-000001" });
  const user = openConsole(desk, "#/tickets/LYN-000001");
  await user.type(await screen.findByRole("textbox", { name: "Reply to LYN" }), "Hello");
  desk.signedIn = false;
  desk.failing = { status: 401, type: "unauthenticated" };
  await user.click(screen.getByRole("button", { name: "Send" }));
  await heading("Sign in to the desk");
  desk.failing = null;
  await user.type(screen.getByRole("textbox", { name: "Name" }), "paula");
  await user.type(screen.getByLabelText("Password"), `${desk.password}{Enter}`);
  await waitFor(() =>
    expect((screen.getByRole("textbox", { name: "Reply to LYN" }) as HTMLTextAreaElement).value).toBe(
      "Hello",
    ),
  );
});

test("what is asked while nobody is there says so, and a key ends that", async () => {
  const desk = new MockDesk();
  const said: boolean[] = [];
  const user = openConsole(desk);
  const whole = globalThis.fetch;
  globalThis.fetch = (input, init) => {
    said.push(new Headers(init?.headers).has("Branchline-Idle"));
    return whole(input, init);
  };
  await heading("Inbox");
  vi.spyOn(Date, "now").mockReturnValue(Date.now() + 120_000);
  await ask("Fresh", {});
  await user.keyboard("x");
  await ask("Fresh", {});
  expect(said.slice(-2)).toEqual([true, false]);
});

test("data that is behind says since when", async () => {
  const desk = new MockDesk();
  desk.behindSince = "2026-03-04T05:06:00Z";
  openConsole(desk);
  expect(await screen.findByText(/ledger is away/)).toBeTruthy();
});

test("a lost live connection is said, and its return too", async () => {
  const desk = new MockDesk();
  const user = openConsole(desk);
  await waitFor(() => expect(desk.sockets.size).toBe(1));
  const [socket] = [...desk.sockets] as [MockSocket];
  act(() => socket.cut());
  expect(await screen.findByText(/No live connection/)).toBeTruthy();
  await user.click(await screen.findByRole("button", { name: "Reconnect now" }));
  await waitFor(() => expect(screen.queryByText(/No live connection/)).toBeNull());
  expect(screen.getByText(/nothing was missed/)).toBeTruthy();
});

test("branches: what needs attention comes first, and says what it is", async () => {
  const desk = new MockDesk();
  desk.branches = [
    { code: "AAA", name: "Well", bandwidth: null, attention: 0, agents: [agent({ id: "1" })] },
    {
      code: "ZZZ",
      name: "Ill",
      bandwidth: null,
      attention: 50,
      agents: [
        agent({
          id: "2",
          connected: false,
          clockSkewMs: 3_600_000,
          troubles: ["silent", "clock-off", "of-a-newer-central"],
        }),
      ],
    },
  ];
  openConsole(desk, "#/branches");
  await heading("Branches");
  const codes = (await screen.findAllByRole("rowheader")).map((cell) => cell.textContent?.slice(0, 3));
  expect(codes).toEqual(["ZZZ", "AAA"]);
  for (const words of ["Nothing heard for a while", "Clock is wrong", "of-a-newer-central", "1 hr ahead"])
    expect(screen.getByText(words)).toBeTruthy();
});

test("a catalogue that somebody else changed is not overwritten unasked", async () => {
  const desk = new MockDesk();
  desk.catalogue = { serial: 4, categories: [{ code: "till", name: { en: "Till" } }] };
  const user = openConsole(desk, "#/administration/catalogue");
  await user.click(await screen.findByRole("button", { name: "Add category" }));
  const code = screen.getAllByLabelText(/^Code/)[1] as HTMLElement;
  expect(document.activeElement).toBe(code);
  await user.type(code, "network");
  await user.type(screen.getAllByLabelText("Name (English)")[1] as HTMLElement, "Network");
  desk.catalogue = { ...desk.catalogue, serial: 5 };
  await user.click(screen.getByRole("button", { name: "Publish to the branches" }));
  expect((await screen.findByRole("alert")).textContent).toMatch(/another version/);
  expect(desk.catalogue.serial).toBe(5);
  await user.click(screen.getByRole("button", { name: "Publish mine over it" }));
  await waitFor(() => expect(desk.catalogue.serial).toBe(6));
});

test("a token is shown once, and takes the focus", async () => {
  const desk = new MockDesk();
  desk.branches = [{ code: "LYN", name: null, bandwidth: null, attention: 0, agents: [] }];
  const user = openConsole(desk, "#/administration/enrolment");
  await user.click(await screen.findByRole("button", { name: "Make token" }));
  expect(await screen.findByText(/^branchline-1\./)).toBeTruthy();
  expect(document.activeElement?.getAttribute("aria-label")).toBe("This token is shown once");
});

const leaves = (words: unknown, path = ""): string[] =>
  typeof words === "object" && words !== null
    ? Object.entries(words).flatMap(([name, value]) => leaves(value, `${path}.${name}`))
    : [typeof words === "function" ? `${path}()` : path];

test("every language has every word, and no word is English by omission", () => {
  expect(leaves(fr)).toEqual(leaves(en));
  expect(leaves(de)).toEqual(leaves(en));
});

test.each(["fr", "de"] as const)("the console speaks %s", async (language) => {
  const desk = new MockDesk();
  desk.addTicket({ number: "LYN-000001" });
  openConsole(desk, "", language);
  await heading(language === "fr" ? "Boîte de réception" : "Eingang");
  expect(document.documentElement.lang).toBe(language);
});
