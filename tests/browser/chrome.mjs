// Headless Chromium as every browser test has it, and axe. Resolved from the folder that `given.javascript` names.

import { createRequire } from "node:module";
import { join } from "node:path";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

export async function launch(given) {
  const require = createRequire(join(given.javascript, "package.json"));
  const { chromium } = require("playwright-core");
  const { source } = createRequire(require.resolve("@axe-core/playwright"))("axe-core");
  const browser = await chromium.launch({ executablePath: given.chromium, args: ARGUMENTS });

  // What axe finds, one line for each. It is put into a page once, however often that is judged: pages of ours have no
  // frames, for which the usual wrapper opens a tab of its own each time.
  async function judge(page) {
    if (!(await page.evaluate(() => "axe" in globalThis))) await page.evaluate(source);
    return page.evaluate(async () => {
      const { violations } = await axe.run(document, { resultTypes: ["violations"] });
      return violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.target.join(" ")).join(", ")}`);
    });
  }

  return { browser, judge };
}

// Until the page that this leads to is there as a whole. A click alone waits until that page begins: what does not wait
// for what it looks for (a count, the words of all rows) would find half of it, or the page before.
export async function arrive(page, act) {
  await page.waitForLoadState("load");
  await Promise.all([page.waitForEvent("load"), act()]);
}

// Without the fine lines behind a page, which are most of an image's size. Our policy lets no style in that is a text,
// so it is a sheet.
export const plain = (page) =>
  page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("body::before { display: none !important; }");
    document.adoptedStyleSheets = [sheet];
  });

export const sideways = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
