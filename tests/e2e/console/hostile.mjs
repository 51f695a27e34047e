// Markup in every field that somebody can write is text on every page; nothing runs, nothing is asked of
// another site; and of two operators who answer at once one is told.
import assert from "node:assert/strict";
import { filing, place, signIn, withBrowser, world } from "./driving.mjs";

const evil = (n) => `<img src=x onerror="window.hacked=${n}">"><script>window.hacked=${n}</script>{{${n}}}`;

await withBrowser(async (open) => {
  const page = await open();
  await signIn(page, place.operator);
  const { number } = await world("file", {
    ticket: filing(evil(1), { description: evil(2), contact: { name: evil(3).slice(0, 100), mail: "a@b.c" }, asset: evil(4) }),
  });
  await world("comment", { number, text: evil(5) });
  await world("attach", { number, name: `<img src=x onerror=hacked=6>.txt`, content: "x" });
  const unharmed = async () => {
    assert.equal(await page.evaluate(() => window.hacked), undefined);
    assert.equal(await page.locator('img[src="x"]').count(), 0);
  };

  await page.goto(`${place.url}/#/tickets/${number}`);
  await page.getByText(evil(2)).waitFor();
  await page.getByText(evil(5)).waitFor();
  await page.getByText("<img src=x onerror=hacked=6>.txt").first().waitFor();
  await unharmed();
  await page.getByRole("textbox", { name: /Reply to/ }).fill(evil(7));
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByRole("listitem").getByText(evil(7)).waitFor();
  await page.getByRole("radio", { name: "Internal note" }).check();
  await page.getByRole("textbox", { name: /never sees it/ }).fill(evil(8));
  await page.getByRole("button", { name: "Keep note" }).click();
  await page.getByRole("listitem").getByText(evil(8)).waitFor();
  await page.getByRole("textbox", { name: "Tags" }).fill("<b>tag</b>");
  await page.getByRole("button", { name: "Apply" }).click();
  await page.getByText("<b>tag</b>").first().waitFor();
  await unharmed();
  for (const hash of ["#/", "#/?q=%3Cscript%3E", "#/branches", "#/administration/trail", `#/tickets/${encodeURIComponent(evil(9))}`]) {
    await page.goto(`${place.url}/${hash}`);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await unharmed();
  }

  // Two consoles, one ticket.
  const other = await open();
  await signIn(other, place.operator, `#/tickets/${number}`);
  await page.goto(`${place.url}/#/tickets/${number}`);
  // The other one does not learn what happens until it has sent.
  let deaf = true;
  other.on("request", (request) => {
    if (request.url().endsWith("/commands")) deaf = false;
  });
  await other.route("**/desk/v1/graphql", (route) => (deaf ? route.abort() : route.continue()));
  await other.getByRole("textbox", { name: /Reply to/ }).fill("Written without knowing");
  await page.getByRole("textbox", { name: /Reply to/ }).fill("Faster");
  await page.getByRole("button", { name: "Send", exact: true }).click();
  await page.getByRole("listitem").getByText("Faster").waitFor();
  await other.getByRole("button", { name: "Send", exact: true }).click();
  await other.getByText("Somebody changed this ticket first.").waitFor();
  assert.equal(await other.getByRole("textbox", { name: /Reply to/ }).inputValue(), "Written without knowing");
});
