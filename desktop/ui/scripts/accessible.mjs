// Every view in Chromium, on the built pages with an invented agent: axe finds nothing, in both themes, in
// three sizes, with forced colours; nothing is cut off at 200 %. `--pictures FOLDER` keeps a picture of each.

import { mkdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const pages = fileURLToPath(new URL("../dist-mock", import.meta.url));
const axe = await readFile(
  fileURLToPath(new URL("../node_modules/axe-core/axe.min.js", import.meta.url)),
  "utf8",
);
const place = process.argv.indexOf("--pictures");
const folder = place > 0 ? process.argv[place + 1] : null;
if (folder) await mkdir(folder, { recursive: true });

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const file = join(pages, pathname === "/" ? "index.html" : pathname);
  try {
    const bytes = await readFile(file);
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream" });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const home = `http://127.0.0.1:${server.address().port}/`;

const ticket = (subject) => async (page) => {
  await page.getByText(subject).first().click();
  await page.getByRole("heading", { name: "Conversation" }).waitFor();
};
const typed = async (page) => {
  await page.getByRole("button", { name: "New ticket" }).click();
  await page.getByLabel("What is wrong, in one line?").fill("The scanner at till 2 pulls in two sheets");
  await page.getByRole("button", { name: "Add files" }).click();
  await page.getByText("delivery-note").waitFor();
};
const VIEWS = [
  ["list", "?state=offline", (page) => page.getByText("LYN-005000").waitFor()],
  ["empty", "?count=0", (page) => page.getByText("You have not filed").waitFor()],
  ["ticket-waiting", "?state=offline", ticket("pulls in two sheets")],
  ["ticket-answered", "", ticket("Receipts print")],
  ["ticket-trouble", "", ticket("monitor in the back")],
  ["form", "?state=offline", typed],
  [
    "form-fault",
    "",
    async (page) => {
      await page.getByRole("button", { name: "New ticket" }).click();
      await page.getByRole("button", { name: "Save ticket" }).click();
      await page.getByText("Please say in one line").waitFor();
    },
  ],
  [
    "saved",
    "?state=offline",
    async (page) => {
      await typed(page);
      await page.keyboard.press("Control+Enter");
      await page.getByText("Saved as").waitFor();
    },
  ],
  [
    "agent-away",
    "?state=away",
    async (page) => {
      await typed(page);
      await page.keyboard.press("Control+Enter");
      await page.getByText("Not saved yet").first().waitFor();
      await page.getByRole("button", { name: "My tickets" }).click();
      await page.getByText("It is saved by itself").waitFor();
    },
  ],
  [
    "withdrawal",
    "",
    async (page) => {
      await ticket("Receipts print")(page);
      await page.getByRole("button", { name: "Take this ticket back" }).click();
    },
  ],
  ["settings", "", (page) => page.getByRole("button", { name: "Settings" }).click()],
];
const LOOKS = [
  ["light", { colorScheme: "light" }, { width: 1000, height: 760 }],
  ["dark", { colorScheme: "dark" }, { width: 1000, height: 760 }],
  // 200 % of a window of 1000 × 760.
  ["zoomed", { colorScheme: "light" }, { width: 500, height: 380 }],
  ["forced", { colorScheme: "dark", forcedColors: "active" }, { width: 1000, height: 760 }],
];

const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
const faults = [];
for (const [look, media, viewport] of LOOKS) {
  const context = await browser.newContext({ ...media, viewport, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.on("pageerror", (fault) => faults.push(`${look}: ${fault.message}`));
  for (const [name, query, reach] of VIEWS) {
    await page.goto(home + query);
    await reach(page);
    if (folder) await page.screenshot({ path: join(folder, `${name}-${look}.png`) });
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    for (const { id, nodes } of found.violations) {
      faults.push(`${name}, ${look}: ${id}: ${nodes.map((node) => node.html).join(" ")}`);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth > window.innerWidth);
    if (wide) faults.push(`${name}, ${look}: wider than the window`);
  }
  await context.close();
}
await browser.close();
server.close();
for (const fault of faults) console.error(fault);
console.log(`${VIEWS.length} views in ${LOOKS.length} looks, ${faults.length} faults`);
process.exit(faults.length > 0 ? 1 : 0);
