// The inbox: nothing moves under one's eyes, and the keyboard is enough.
import { act, screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { heading, openConsole } from "./console.tsx";
import { MockDesk } from "./mock.ts";

const numbers = () =>
  screen.getAllByRole("link", { name: /^[A-Z]{3}-\d{6}/ }).map((link) => link.dataset.ticket);

function desk(): MockDesk {
  const desk = new MockDesk();
  desk.addTicket({ number: "LYN-000001", subject: "First" });
  desk.addTicket({ number: "LYN-000002", subject: "Second", state: "OPEN", assignee: "ahmed" });
  return desk;
}

test("what arrives waits above the list until it is asked for", async () => {
  const central = desk();
  const user = openConsole(central);
  await heading("Inbox");
  await screen.findByRole("link", { name: /LYN-000001/ });
  await waitFor(() => expect(central.sockets.size).toBe(1));
  const before = numbers();
  const arriving = central.addTicket({
    number: "BER-000009",
    subject: "No network",
    receivedAt: new Date().toISOString(),
  });
  act(() => central.tell(arriving));
  expect(await screen.findByText(/1 new ticket: BER-000009 No network/)).toBeTruthy();
  expect(numbers()).toEqual(before);
  await user.keyboard(".");
  await waitFor(() => expect(numbers()).toEqual(["BER-000009", ...before]));
  expect(screen.queryByText(/1 new ticket/)).toBeNull();
});

test("a ticket that changes is changed where it stands, and says when it no longer belongs here", async () => {
  const central = desk();
  openConsole(central);
  await screen.findByRole("link", { name: /LYN-000001/ });
  await waitFor(() => expect(central.sockets.size).toBe(1));
  const before = numbers();
  const ticket = central.tickets[0];
  if (!ticket) throw new Error("no ticket");
  ticket.summary = { ...ticket.summary, state: "CLOSED" };
  act(() => central.say(ticket, { kind: "MOVED", said: "closed" }));
  const row = (await screen.findByText("no longer in this view")).closest("tr");
  expect(within(row as HTMLElement).getByText("Closed")).toBeTruthy();
  expect(numbers()).toEqual(before);
});

test("j, k and Enter walk and open; u comes back to the same row", async () => {
  const user = openConsole(desk());
  await screen.findByRole("link", { name: /LYN-000001/ });
  await user.keyboard("j");
  expect(document.activeElement?.textContent).toContain("LYN-000001");
  await user.keyboard("j");
  expect(document.activeElement?.textContent).toContain("LYN-000002");
  await user.keyboard("k{Enter}");
  await heading(/LYN-000001/);
  expect(document.activeElement?.tagName).toBe("H1");
  await user.keyboard("u");
  await heading("Inbox");
  await waitFor(() => expect((document.activeElement as HTMLElement).dataset.ticket).toBe("LYN-000001"));
});

test("/ goes to the search, where keys are letters again", async () => {
  const user = openConsole(desk());
  await screen.findByRole("link", { name: /LYN-000001/ });
  await user.keyboard("/jk second{Enter}");
  expect(await screen.findByText("No ticket has all of these words.")).toBeTruthy();
  await user.clear(screen.getByRole("searchbox"));
  await user.type(screen.getByRole("searchbox"), "second{Enter}");
  await waitFor(() => expect(numbers()).toEqual(["LYN-000002"]));
});

test("single keys can be turned off", async () => {
  const user = openConsole(desk());
  await screen.findByRole("link", { name: /LYN-000001/ });
  await user.keyboard("?");
  await user.click(await screen.findByRole("checkbox", { name: "Single keys are shortcuts" }));
  await user.click(screen.getByRole("button", { name: "Close" }));
  const before = document.activeElement;
  await user.keyboard("j");
  expect(document.activeElement).toBe(before);
});

test("pages are stable: what arrives neither repeats a ticket nor leaves one out", async () => {
  const central = new MockDesk();
  for (let n = 1; n <= 60; n += 1) central.addTicket({ number: `LYN-${String(n).padStart(6, "0")}` });
  const user = openConsole(central);
  await screen.findByRole("link", { name: /LYN-000001/ });
  await waitFor(() => expect(central.sockets.size).toBe(1));
  expect(numbers()).toHaveLength(50);
  const arriving = central.addTicket({ number: "BER-000009", receivedAt: new Date().toISOString() });
  act(() => central.tell(arriving));
  await user.click(screen.getByRole("button", { name: "Show more" }));
  await waitFor(() => expect(numbers()).toHaveLength(60));
  expect(new Set(numbers()).size).toBe(60);
  expect(numbers()).not.toContain("BER-000009");
});

test("what is overdue says so and can be asked for, what is due first coming first", async () => {
  const central = new MockDesk();
  const due = (hours: number) => {
    const at = new Date(Date.now() + hours * 3_600_000).toISOString();
    return {
      firstAnswerDue: at,
      firstAnswerDueFromFiling: at,
      firstAnsweredAt: null,
      resolutionDue: null,
      resolutionDueFromFiling: null,
      resolvedAt: null,
      paused: true,
      dueAt: at,
    };
  };
  central.addTicket({ number: "LYN-000001", service: due(-1) });
  central.addTicket({ number: "LYN-000002", service: due(-3) });
  central.addTicket({ number: "LYN-000003", service: due(2) });
  central.addTicket({ number: "LYN-000004" });
  const user = openConsole(central);
  await screen.findByRole("link", { name: /LYN-000001/ });
  expect(screen.getAllByText(/^overdue/).length).toBeGreaterThanOrEqual(2);
  await user.selectOptions(screen.getByRole("combobox", { name: "Due" }), "Overdue");
  await waitFor(() => expect(numbers()).toEqual(["LYN-000002", "LYN-000001"]));
  // What is not overdue does not arrive here, and what is does.
  const [first, , third] = central.tickets;
  if (!first || !third) throw new Error("no ticket");
  act(() => central.tell(third));
  expect(screen.queryByText(/new ticket/)).toBeNull();
  const arriving = central.addTicket({ number: "LYN-000005", service: due(-2) });
  act(() => central.tell(arriving));
  expect(await screen.findByText(/1 new ticket: LYN-000005/)).toBeTruthy();
  await user.click(screen.getByRole("button", { name: "Show" }));
  await waitFor(() => expect(numbers()).toEqual(["LYN-000002", "LYN-000005", "LYN-000001"]));
});
