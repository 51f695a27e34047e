// The window against an invented agent, in the states that are hard to reach with a real one.
import { act, render, screen, waitFor, within } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { describe, expect, it, vi } from "vitest";
import { BackendContext } from "../src/api/backend.ts";
import type { HandedIn } from "../src/api/types.ts";
import { App } from "../src/app.tsx";
import { mock, sample } from "../src/mock/mock.ts";

async function open(backend = mock()) {
  const user = userEvent.setup();
  const shown = render(
    <BackendContext value={backend}>
      <App />
    </BackendContext>,
  );
  await screen.findByRole("button", { name: "New ticket" });
  return { user, backend, ...shown };
}

async function form(backend = mock()) {
  const opened = await open(backend);
  await opened.user.click(screen.getByRole("button", { name: "New ticket" }));
  const subject = await screen.findByLabelText("What is wrong, in one line?");
  return { ...opened, subject };
}

describe("filing", () => {
  it("is done by keyboard alone", async () => {
    const { user, backend, subject } = await form();
    const handIn = vi.spyOn(backend, "handIn");
    const write = vi.spyOn(backend, "write");
    expect(subject).toHaveFocus();
    await user.keyboard("The till is dark");
    await user.tab();
    await user.keyboard("Since eight.");
    await user.keyboard("{Control>}{Enter}{/Control}");
    const heading = await screen.findByRole("heading", { name: "Saved" });
    await waitFor(() => expect(heading).toHaveFocus());
    expect(handIn).toHaveBeenCalledOnce();
    // All that was written was on disk before it was handed in.
    expect(write.mock.calls.at(-1)?.[1]).toMatchObject({ subject: "The till is dark", text: "Since eight." });
    expect(write.mock.invocationCallOrder.at(-1)).toBeLessThan(handIn.mock.invocationCallOrder[0] ?? 0);
  });

  it("says saved only after the agent's answer", async () => {
    const { user, backend } = await form();
    let answer: (said: HandedIn) => void = () => {};
    vi.spyOn(backend, "handIn").mockReturnValue(new Promise((resolve) => (answer = resolve)));
    await user.keyboard("The till{Control>}{Enter}{/Control}");
    await screen.findByRole("button", { name: "Saving …" });
    expect(screen.queryByText(/Saved as/)).toBeNull();
    expect(screen.queryByRole("heading", { name: "Saved" })).toBeNull();
    await act(async () => answer({ outcome: "saved", number: "LYN-000001", words: "Saved as LYN-000001." }));
    expect(screen.getByRole("heading", { name: "Saved" })).toBeVisible();
  });

  it("says that it is kept where the agent is away", async () => {
    const { user } = await form(mock("away"));
    await user.keyboard("The till{Control>}{Enter}{/Control}");
    expect(await screen.findByRole("heading", { name: "Not saved yet" })).toBeVisible();
    expect(screen.queryByRole("heading", { name: "Saved" })).toBeNull();
    await user.click(screen.getByRole("button", { name: "My tickets" }));
    expect(await screen.findByText(/It is saved by itself/)).toBeVisible();
  });

  it("gives back what must be changed first", async () => {
    const { user, backend, subject } = await form();
    vi.spyOn(backend, "handIn").mockResolvedValue({
      outcome: "refused",
      words: "Not saved. Please check: x",
    });
    await user.keyboard("The till{Control>}{Enter}{/Control}");
    expect(await screen.findByRole("alert")).toHaveTextContent("Not saved. Please check: x");
    expect(subject).toHaveValue("The till");
  });

  it("asks for a subject and puts the cursor there", async () => {
    const { user, backend, subject } = await form();
    const handIn = vi.spyOn(backend, "handIn");
    await user.click(screen.getByRole("button", { name: "Save ticket" }));
    expect(await screen.findByText("Please say in one line what is wrong.")).toBeVisible();
    expect(subject).toHaveFocus();
    expect(subject).toHaveAttribute("aria-invalid", "true");
    expect(handIn).not.toHaveBeenCalled();
  });

  it("keeps what is being written, also when the page is left at once", async () => {
    const { user, backend } = await form();
    await user.keyboard("The till");
    await user.click(screen.getByRole("button", { name: "My tickets" }));
    await user.click(screen.getByRole("button", { name: "New ticket" }));
    expect(await screen.findByLabelText("What is wrong, in one line?")).toHaveValue("The till");
    expect((await backend.draft(null)).text.subject).toBe("The till");
  });

  it("says when what is written cannot be kept, and goes on trying", async () => {
    const { user, backend } = await form();
    const write = vi.spyOn(backend, "write").mockRejectedValue("The disk is full.");
    await user.keyboard("x");
    expect(await screen.findByText("The disk is full.")).toBeVisible();
    write.mockRestore();
    await user.keyboard("y");
    await waitFor(() => expect(screen.queryByText("The disk is full.")).toBeNull());
  });

  it("takes a pasted picture and files that were dropped", async () => {
    const { user, backend } = await form();
    const picture = { name: "image.png", arrayBuffer: async () => new ArrayBuffer(2_000) };
    const pasted = new Event("paste");
    Object.assign(pasted, { clipboardData: { files: [picture], types: ["Files"] } });
    act(() => void window.dispatchEvent(pasted));
    expect(await screen.findByText(/Screenshot .*\.png/)).toBeVisible();
    // Words are the field's; the program looks itself for a picture of which WebKitGTK says nothing.
    for (const types of [["text/plain", "text/html"], []]) {
      const other = new Event("paste");
      Object.assign(other, { clipboardData: { files: [], types } });
      act(() => void window.dispatchEvent(other));
    }
    await waitFor(() => expect(screen.getAllByText(/Screenshot .*\.png/)).toHaveLength(2));
    const draft = await backend.draft(null);
    const file = { id: "f", name: "dropped.pdf", size: "1 KB", saved: false, percent: null, trouble: null };
    act(() => backend.tell({ kind: "added", draft: { ...draft, files: [file] }, trouble: null }));
    expect(await screen.findByText("dropped.pdf")).toBeVisible();
    await user.click(screen.getByRole("button", { name: "Leave out dropped.pdf" }));
  });
});

describe("the line on the connection", () => {
  it("is always there, and changes as it is told", async () => {
    const { user, backend } = await open(mock("offline"));
    const line = screen.getByRole("status", { name: "Connection" });
    expect(line).toHaveTextContent(
      "No connection since 09:12. 3 tickets and 2 files are waiting. Nothing is lost.",
    );
    await user.click(screen.getByRole("button", { name: "Settings" }));
    expect(line).toBeVisible();
    const situation = (await mock("connected").start()).situation;
    act(() => backend.tell({ kind: "situation", situation }));
    expect(line).toHaveTextContent("Connected. Everything has been sent.");
  });
});

describe("the list", () => {
  it("draws few of many", async () => {
    await open(mock("connected", 5_000));
    const list = await screen.findByRole("list", { name: "My tickets" });
    await within(list).findAllByText(/LYN-005000/);
    expect(within(list).getAllByRole("button").length).toBeLessThan(60);
  });

  it("searches and says so when there is nothing", async () => {
    const { user } = await open();
    await user.type(screen.getByRole("searchbox"), "alarm nowhere");
    expect(await screen.findByText("No ticket contains all of these words.")).toBeVisible();
    await user.clear(screen.getByRole("searchbox"));
    await user.type(screen.getByRole("searchbox"), "alarm");
    await waitFor(() => expect(screen.getAllByText(/alarm panel/).length).toBeGreaterThan(3));
    expect(screen.queryByText(/price list/)).toBeNull();
  });

  it("shows what was saved without all of its files", async () => {
    const { user, backend } = await open();
    const handIn = vi.spyOn(backend, "handIn");
    const text = { subject: "Till", text: "", category: "", priority: "", asset: "", phone: "" };
    const trouble = "gone.pdf is not there any more. Please add it again.";
    const file = { id: "f", name: "gone.pdf", size: "1 KB", saved: false, percent: null, trouble };
    const draft = {
      id: "d",
      on: null,
      text,
      files: [file],
      handed_in: false,
      number: "LYN-000001",
      trouble: null,
    };
    act(() => backend.tell({ kind: "drafts", drafts: [draft] }));
    expect(screen.getByText(/gone.pdf is not there any more/)).toBeVisible();
    handIn.mockResolvedValue({ outcome: "waiting", words: "" });
    await user.click(screen.getByRole("button", { name: "Try these files again" }));
    expect(handIn).toHaveBeenCalledWith("d");
  });

  it("leads to what is announced", async () => {
    const { user, backend } = await open();
    const announcement = { number: "LYN-004999", title: "Central support has answered", body: "LYN-004999" };
    act(() => backend.tell({ kind: "announce", announcement }));
    await user.click(screen.getByRole("button", { name: "Show" }));
    expect(await screen.findByText(/Which number is on the label/)).toBeVisible();
  });

  it("leads to the answer where its ticket is open", async () => {
    const { user, backend } = await open();
    act(() => backend.tell({ kind: "open", number: "LYN-004999" }));
    const answer = await screen.findByText(/Which number is on the label/);
    expect(answer.closest("li")).not.toHaveFocus();
    const announcement = { number: "LYN-004999", title: "Central support has answered", body: "LYN-004999" };
    act(() => backend.tell({ kind: "announce", announcement }));
    await user.click(screen.getByRole("button", { name: "Show" }));
    await waitFor(() => expect(answer.closest("li")).toHaveFocus());
  });
});

describe("a ticket", () => {
  it("says every rung in words, not by colour alone", async () => {
    const { backend } = await open();
    act(() => backend.tell({ kind: "open", number: "LYN-004997" }));
    const ladder = await screen.findByRole("region", { name: "How far it has come" });
    expect(ladder).toHaveTextContent("Checked: needs attention");
    expect(ladder).toHaveTextContent("Accepted: still to come");
    expect(screen.getByText(/do not open the file yourself/)).toBeVisible();
  });

  it("takes markup for text", async () => {
    const backend = mock();
    const text = "<img src=x onerror=alert(1)>";
    const ticket = { ...sample("LYN-004999"), subject: text, description: text };
    vi.spyOn(backend, "ticket").mockResolvedValue(ticket);
    await open(backend);
    act(() => backend.tell({ kind: "open", number: "LYN-004999" }));
    expect(await screen.findByRole("heading", { name: text })).toBeVisible();
    expect(document.querySelector("img")).toBeNull();
  });

  it("adds a message, and keeps one that is begun per ticket", async () => {
    const { user, backend } = await open();
    act(() => backend.tell({ kind: "open", number: "LYN-004999" }));
    await user.type(await screen.findByLabelText("Your message"), "It says SC-2210-B.");
    await waitFor(async () =>
      expect((await backend.draft("LYN-004999")).text.text).toBe("It says SC-2210-B."),
    );
    await user.click(screen.getByRole("button", { name: "Save message" }));
    expect(await screen.findByText("Saved. It is sent by itself.")).toBeVisible();
    expect(screen.getByLabelText("Your message")).toHaveValue("");
  });

  it("lists the files of an answer, and saves one that is here", async () => {
    const { user, backend } = await open();
    const save = vi.spyOn(backend, "saveGiven");
    act(() => backend.tell({ kind: "open", number: "LYN-004999" }));
    const list = await screen.findByRole("list", { name: "Files with this answer" });
    expect(within(list).getByText("1.4 MB")).toBeVisible();
    expect(within(list).getByText("On this computer")).toBeVisible();
    // The other one is still on its way: there is nothing to save.
    expect(within(list).getByText("Is being fetched")).toBeVisible();
    expect(within(list).getAllByRole("button")).toHaveLength(1);
    await user.click(within(list).getByRole("button", { name: "Save as … cleaning-the-rollers.pdf" }));
    expect(save).toHaveBeenCalledWith("g");
    expect(await within(list).findByText(/The file is here now:/)).toBeVisible();
  });

  it("says why a file was not saved, and nothing where no place was chosen", async () => {
    const { user, backend } = await open();
    const save = vi.spyOn(backend, "saveGiven").mockResolvedValue({ outcome: "left" });
    act(() => backend.tell({ kind: "open", number: "LYN-004999" }));
    const button = await screen.findByRole("button", { name: /^Save as …/ });
    await user.click(button);
    expect(screen.queryByText(/The file is here now:/)).toBeNull();
    const trouble = { what: "There is not enough room.", todo: "Please choose another place." };
    save.mockResolvedValue({ outcome: "refused", trouble });
    await user.click(button);
    expect(await screen.findByRole("alert")).toHaveTextContent(
      "There is not enough room. Please choose another place.",
    );
  });

  it("has files that go nowhere before their ticket does", () => {
    for (const state of ["offline", "away"]) {
      const ticket = sample("LYN-005000", state);
      expect(ticket.files.map((file) => file.standing)).toEqual(
        Array(2).fill("Saved here, waits to be sent"),
      );
    }
  });

  it("is taken back after a question", async () => {
    const { user, backend } = await open();
    const withdraw = vi.spyOn(backend, "withdraw");
    act(() => backend.tell({ kind: "open", number: "LYN-004999" }));
    await user.click(await screen.findByRole("button", { name: "Take this ticket back …" }));
    await user.type(screen.getByLabelText("Why? (optional)"), "It works again");
    expect(withdraw).not.toHaveBeenCalled();
    await user.click(screen.getByRole("button", { name: "Take it back" }));
    expect(withdraw).toHaveBeenCalledWith("LYN-004999", "It works again");
  });
});

describe("settings", () => {
  it("change language and colours at once", async () => {
    const { user } = await open();
    await user.click(screen.getByRole("button", { name: "Settings" }));
    await user.selectOptions(screen.getByLabelText("Language"), "de");
    expect(await screen.findByRole("button", { name: "Neues Ticket" })).toBeVisible();
    expect(document.documentElement.lang).toBe("de");
    await user.selectOptions(screen.getByLabelText("Farben"), "dark");
    expect(document.documentElement.dataset.theme).toBe("dark");
  });
});
