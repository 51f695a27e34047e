// A ticket arrives while one looks, is answered by the keyboard alone, and the answer reaches the branch;
// an infected file is shown as such and cannot be had; central goes and comes back.
import assert from "node:assert/strict";
import { filing, place, signIn, withBrowser, world } from "./driving.mjs";

await withBrowser(async (open) => {
  const page = await open();
  await signIn(page, place.operator);
  await page.getByRole("heading", { level: 1, name: "Inbox" }).waitFor();
  await page.getByText("No tickets here.").waitFor();

  const { number } = await world("file", { ticket: filing("Till 3 freezes", { priority: "urgent", asset: "Till 3" }) });
  await page.getByText(`1 new ticket: ${number} Till 3 freezes`).waitFor();
  assert.equal(await page.getByRole("row").count(), 0, "nothing moves until it is asked for");
  await page.keyboard.press(".");
  await page.getByRole("link", { name: new RegExp(number) }).waitFor();
  await page.keyboard.press("j");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: new RegExp(`${number} Till 3 freezes`) }).waitFor();

  const clean = await world("attach", { number, name: "letter.txt", content: "a letter, and nothing else" });
  const infected = await world("attach", { number, name: "invoice.exe", infected: true });
  assert(clean && infected);
  const line = (name) => page.getByRole("listitem").filter({ hasText: name }).last();
  await line("letter.txt").getByText("Clean").waitFor();
  await line("invoice.exe").getByText("Infected").waitFor();
  await line("invoice.exe").getByText("Cannot be downloaded").waitFor();
  assert.equal(await line("invoice.exe").getByRole("link").count(), 0);
  const link = line("letter.txt").getByRole("link", { name: /Download/ });
  const [download] = await Promise.all([page.waitForEvent("download"), link.click()]);
  assert.equal(download.suggestedFilename(), "letter.txt");
  const shut = await page.evaluate(async (wanted) => {
    const query = "query T($n: String!) { ticket(number: $n) { files { id name } } }";
    const asked = await fetch("/desk/v1/graphql", {
      method: "POST",
      headers: { "Content-Type": "application/json", "Branchline-Console": "1" },
      body: JSON.stringify({ query, variables: { n: wanted } }),
    });
    const { data } = await asked.json();
    const file = data.ticket.files.find((one) => one.name === "invoice.exe");
    return (await fetch(`/desk/v1/files/${file.id}`)).status;
  }, number);
  assert(shut === 404 || shut === 403 || shut === 409, `an infected file answered ${shut}`);

  await page.keyboard.press("r");
  await page.keyboard.type("Please restart till 3 once more.");
  await page.keyboard.press("Control+Enter");
  await page.getByText("answered the branch").waitFor();
  assert.equal(await page.getByRole("textbox", { name: /Reply to/ }).inputValue(), "");
  await world("until_branch_shows", { number, text: "Please restart till 3 once more." });

  await page.keyboard.press("Escape");
  await page.getByRole("heading", { level: 1 }).focus();
  await page.keyboard.press("n");
  await page.keyboard.type("Between us: it is the switch.");
  await page.keyboard.press("Control+Enter");
  await page.getByText("Internal: the branch never sees this").waitFor();

  await page.getByRole("link", { name: "Inbox" }).first().click();
  await world("stop_central");
  await page.getByText("No live connection to central.").waitFor();
  const shown = await world("branch_shows", { number });
  assert(shown.text.includes("Please restart till 3 once more."), "the answer is there while central is down");
  assert(!shown.text.includes("Between us"), "a note left central");
  const later = await world("file", { ticket: filing("Filed while central was down") });
  await world("start_central");
  await page.getByText("No live connection to central.").waitFor({ state: "hidden" });
  await page.getByText(`1 new ticket: ${later.number} Filed while central was down`).waitFor();
});
