// Files for a reply: one is chosen and one is dropped, an infected one is told and kept back, and what is
// clean is at the branch, to the byte, while central is down.
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { filing, place, signIn, withBrowser, world } from "./driving.mjs";

const manual = `%PDF-1.7\n${"how to switch it on\n".repeat(40_000)}%%EOF\n`;

await withBrowser(async (open) => {
  const page = await open();
  await signIn(page, place.operator);
  const { number } = await world("file", { ticket: filing("How is it switched on?") });
  await page.goto(`${place.url}/#/tickets/${number}`);
  await page.getByRole("heading", { level: 1, name: new RegExp(number) }).waitFor();
  await page.getByRole("textbox", { name: /Reply to/ }).fill("The manual, and a picture.");

  const choose = (name, content) =>
    page
      .locator('input[type="file"]')
      .setInputFiles({ name, mimeType: "application/octet-stream", buffer: Buffer.from(content) });
  const line = (name) => page.getByRole("list", { name: "Files to send" }).getByRole("listitem").filter({ hasText: name });
  await choose("manual é.pdf", manual);
  await line("manual é.pdf").getByText("Clean").waitFor();

  // Dropped, as from a folder.
  const dropped = await page.evaluateHandle(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(["a picture"], "../picture.png"));
    return transfer;
  });
  const composer = page.getByRole("region", { name: "Answer" });
  await composer.dispatchEvent("dragover", { dataTransfer: dropped });
  await composer.dispatchEvent("drop", { dataTransfer: dropped });
  await line("picture.png").getByText("Clean").waitFor();

  await choose("invoice.exe", place.infected);
  await line("invoice.exe").getByText("Infected").waitFor();
  await line("invoice.exe").getByText(/Branchline\.Test/).waitFor();
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByRole("alert").getByText(/still being checked/).waitFor();
  assert.equal(await page.getByText("answered the branch").count(), 0, "it was sent all the same");
  await page.getByRole("button", { name: "Remove invoice.exe" }).click();
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByText("answered the branch").waitFor();
  // In the timeline, with what central says of it.
  await page.getByRole("listitem").filter({ hasText: "manual é.pdf" }).getByText("Clean").last().waitFor();

  const { held } = await world("branch_gets", { number, names: ["manual é.pdf", "picture.png"] });
  assert.deepEqual(held, [manual, "a picture"]);
});
