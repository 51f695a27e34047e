// axe-core finds nothing against WCAG 2.2 AA on any page, in both themes, wide and on a tablet; and no page
// is wider than its window.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { filing, place, signIn, withBrowser, world } from "./driving.mjs";

const require = createRequire(new URL("../../../server-endpoint/console/package.json", import.meta.url));
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];

async function check(page, name) {
  // Put in by the debugger, which the page's policy does not bind: a page's own scripts could not.
  await page.evaluate(axe);
  const { violations } = await page.evaluate((tags) => globalThis.axe.run({ runOnly: tags }), TAGS);
  const found = violations.map((one) => `${one.id}: ${one.help}: ${one.nodes.map((node) => node.html).slice(0, 3).join(" | ")}`);
  assert.deepEqual(found, [], name);
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert(wider <= 0, `${name} is ${wider} px wider than its window`);
}

await withBrowser(async (open) => {
  const { number } = await world("file", { ticket: filing("Till 3 freezes", { priority: "urgent" }) });
  await world("file", { ticket: filing("Printer prints blank pages") });
  await world("attach", { number, name: "letter.txt", content: "a letter" });
  await world("attach", { number, name: "invoice.exe", infected: true });
  await world("comment", { number, text: "It does it again." });
  for (const colorScheme of ["light", "dark"]) {
    const page = await open({ colorScheme });
    await page.goto(place.url);
    await page.getByRole("heading", { level: 1 }).waitFor();
    await check(page, `sign-in, ${colorScheme}`);
    await signIn(page, place.operator);
    const pages = ["", `tickets/${number}`, "branches", "password", "nowhere"];
    const sections = ["enrolment", "operators", "api-tokens", "catalogue", "trail"];
    for (const width of [1280, 768]) {
      await page.setViewportSize({ width, height: 1024 });
      for (const path of [...pages, ...sections.map((one) => `administration/${one}`)]) {
        await page.goto(`${place.url}/#/${path}`);
        await page.getByRole("heading", { level: 1 }).waitFor();
        await page.getByText("Loading…").waitFor({ state: "hidden" });
        await check(page, `/${path}, ${colorScheme}, ${width} px`);
      }
      await page.goto(`${place.url}/#/tickets/${number}`);
      await page.getByRole("radio", { name: "Internal note" }).check();
      await page.keyboard.press("Escape");
      await page.getByRole("heading", { level: 1 }).focus();
      await page.keyboard.press("?");
      await page.getByRole("dialog").waitFor();
      await check(page, `shortcuts over a note, ${colorScheme}, ${width} px`);
      await page.keyboard.press("Escape");
      await page.getByRole("button", { name: /Account/ }).click();
      await check(page, `account, ${colorScheme}, ${width} px`);
    }
    await page.context().close();
  }
});
