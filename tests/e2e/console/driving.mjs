// What the console's browser tests share: Chromium on the desk that the Rust side started, and a way to ask
// that side to do something in the world (`world`), one JSON line each way.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(new URL("../../../server-endpoint/console/package.json", import.meta.url));
const { chromium } = require("playwright-core");

export const place = JSON.parse(process.env.BRANCHLINE_CONSOLE_TEST ?? "{}");

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Has the Rust side do something, and gives what it answers. */
export async function world(verb, given = {}) {
  process.stdout.write(`${JSON.stringify({ verb, ...given })}\n`);
  const { value, done } = await lines.next();
  assert(!done, "the test that started this is gone");
  return JSON.parse(value);
}

/** A browser; `run` gets a function that makes pages. Whatever a page complains of fails the test. */
export async function withBrowser(run) {
  const browser = await chromium.launch({ executablePath: place.chromium, args: ["--no-sandbox"] });
  const complaints = [];
  const pages = [];
  const open = async (options = {}) => {
    const context = await browser.newContext({
      ignoreHTTPSErrors: true,
      locale: "en-GB",
      viewport: { width: 1280, height: 900 },
      ...options,
    });
    context.setDefaultTimeout(30_000);
    const page = await context.newPage();
    pages.push(page);
    page.on("pageerror", (fault) => complaints.push(`error: ${fault.message}`));
    page.on("dialog", (dialog) => {
      complaints.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message) => {
      if (/Content Security Policy/i.test(message.text())) complaints.push(`console: ${message.text()}`);
    });
    page.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      const own = origin === new URL(place.url).origin;
      if (!own && protocol !== "data:" && protocol !== "blob:") complaints.push(`asks elsewhere: ${request.url()}`);
    });
    return page;
  };
  try {
    await run(open);
    assert.deepEqual(complaints, []);
  } catch (fault) {
    for (const page of pages) console.error(`── ${page.url()}\n${await page.locator("body").innerText()}`, complaints);
    throw fault;
  } finally {
    await browser.close();
    process.stdin.destroy();
  }
}

/** Signs in; where the password was made by somebody else, chooses another one first. */
export async function signIn(page, who, hash = "#/") {
  await page.goto(`${place.url}/${hash}`);
  assert.match(await page.title(), /Branchline/, "the server has no console in it: run `make console` first");
  await page.getByLabel("Name").fill(who.name);
  await page.getByLabel("Password", { exact: true }).fill(who.password);
  await page.keyboard.press("Enter");
  const next = page.getByLabel("New password", { exact: true });
  await next.or(page.getByRole("navigation", { name: "Main" })).first().waitFor();
  if (await next.isVisible()) {
    const chosen = `${who.password} and some more`;
    await next.fill(chosen);
    await page.getByLabel("New password again").fill(chosen);
    await page.keyboard.press("Enter");
    who.password = chosen;
  }
  await page.getByRole("navigation", { name: "Main" }).waitFor();
}

/** A ticket as a branch files it. */
export const filing = (subject, more = {}) => ({
  subject,
  description: `Filed to see that “${subject}” arrives.`,
  category: "hardware",
  priority: "normal",
  contact: { name: "Marie", phone: "+33 4 72 00 00 00" },
  ...more,
});
