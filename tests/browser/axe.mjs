// Open each address in light and dark, at desktop and phone width; photograph it; fail on any
// axe violation, sideways scrolling, blocked content or request to another origin.
//
//   node tests/browser/axe.mjs DIRECTORY URL...
//
// Resolves playwright-core and @axe-core/playwright from the working directory or NODE_PATH;
// CHROMIUM names the browser (default /usr/bin/chromium).

import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { delimiter, join } from "node:path";

const roots = [process.cwd(), ...(process.env.NODE_PATH ?? "").split(delimiter).filter(Boolean)];
const require = createRequire(import.meta.url);
const load = (name) => require(require.resolve(name, { paths: roots }));
const { chromium } = load("playwright-core");
const { AxeBuilder } = load("@axe-core/playwright");

const SIZES = { desktop: { width: 1280, height: 860 }, phone: { width: 360, height: 740 } };
const SCHEMES = ["light", "dark"];
const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const [directory, ...urls] = process.argv.slice(2);
if (!directory || urls.length === 0) {
  console.error("usage: node axe.mjs DIRECTORY URL...");
  process.exit(2);
}
await mkdir(directory, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ARGUMENTS,
});
const faults = [];

async function look(url, scheme, size) {
  const name = new URL(url).pathname.replace(/\.html$/, "").replaceAll("/", "-").replace(/^-/, "") || "index";
  const label = `${name}-${size}-${scheme}`;
  // The pages must stand without script; axe itself is evaluated from outside the page.
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme: scheme });
  const page = await context.newPage();
  const fault = (text) => faults.push(`${label}: ${text}`);
  page.on("console", (message) => message.type() === "error" && fault(`console: ${message.text()}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(url).origin) fault(`asks elsewhere: ${request.url()}`);
  });
  page.on("dialog", (dialog) => {
    fault(`script ran: ${dialog.message()}`);
    return dialog.dismiss();
  });
  await page.goto(url, { waitUntil: "load" });
  await page.screenshot({ path: join(directory, `${label}.png`), fullPage: true });
  const excess = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  if (excess > 0) fault(`scrolls sideways by ${excess}px`);
  const { violations } = await new AxeBuilder({ page }).analyze();
  for (const violation of violations) {
    const where = violation.nodes.map((node) => node.target.join(" ")).join(", ");
    fault(`${violation.id} (${violation.impact}): ${violation.help} at ${where}`);
  }
  await context.close();
}

for (const url of urls) {
  await Promise.all(
    SCHEMES.flatMap((scheme) => Object.keys(SIZES).map((size) => look(url, scheme, size))),
  );
}
await browser.close();

for (const fault of faults) console.error(fault);
console.log(`${urls.length * 4} views of ${urls.length} pages, ${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);
