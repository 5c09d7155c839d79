// Somebody at pages of ours in headless Chromium: what tests of the console have in common.
//
// Whatever is met that no page of ours may do (a console error, a request to somebody else's origin) is collected under
// `faults`. `look` judges a page by axe, wide and light, narrow and dark, and photographs it where that is asked for.

import { join } from "node:path";

import { arrive, launch, plain, sideways } from "./chrome.mjs";

const WIDE = { width: 940, height: 640 };
const NARROW = { width: 380, height: 740 };
const VIEWS = [
  ["wide", WIDE, "light"],
  ["narrow", NARROW, "dark"],
];

export async function start(given) {
  const { browser, judge } = await launch(given);
  const faults = [];
  const views = {};
  const own = new URL(given.issuer).origin;

  async function desk(options = {}) {
    const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", reducedMotion: "reduce", ...options });
    context.setDefaultTimeout(60_000);
    const page = await context.newPage();
    page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
    page.on("pageerror", (error) => faults.push(String(error)));
    page.on("request", (request) => {
      if (new URL(request.url()).origin !== own) faults.push(`asks elsewhere: ${request.url()}`);
    });
    const heading = () => page.getByRole("heading", { level: 1 });
    const follow = (locator) => arrive(page, () => locator.click());

    // Under this name, from this part of the page on.
    async function photograph(name, from) {
      await plain(page);
      await page.evaluate(() => {
        document.activeElement.blur();
        scrollTo(0, 0);
      });
      const { y } = await page.locator(from).first().boundingBox();
      const main = await page.locator("main").boundingBox();
      const clip = { x: 0, y, width: WIDE.width, height: Math.min(main.y + main.height - y, WIDE.height) };
      await page.screenshot({ path: join(given.screenshots, `console-${name}.png`), fullPage: true, clip });
    }

    return {
      page,
      follow,
      async signIn(path, login, at = given.issuer) {
        await page.goto(`${at}/${path}`);
        await page.locator("#login").fill(login);
        // Where there is an identity provider, a password is one way of several.
        if (!(await page.locator("#password").count())) await follow(page.locator("button[name=with][value=password]"));
        await page.locator("#password").fill(given.password);
        await follow(page.getByRole("button", { name: "Sign in", exact: true }));
      },
      async look(name, from = "main") {
        if (given.screenshots) await photograph(name, from);
        for (const [view, viewport, colorScheme] of VIEWS) {
          await page.setViewportSize(viewport);
          await page.emulateMedia({ colorScheme });
          views[`${name} ${view}`] = { axe: await judge(page), sideways: await sideways(page) };
        }
        await page.setViewportSize(WIDE);
        await page.emulateMedia({ colorScheme: "light" });
      },
      async open(title) {
        const menu = page.locator("details.menu");
        if (!(await menu.evaluate((it) => it.open))) await menu.locator("summary").click();
        const links = page.getByRole("navigation", { name: "Console" });
        await follow(links.getByRole("link", { name: title, exact: true }));
      },
      fill: (label, value) => page.getByLabel(label, { exact: true }).fill(value),
      press: (name) => follow(page.getByRole("button", { name, exact: true })),
      said: async () => (await page.getByRole("status").first().textContent()).trim(),
      heading: async () => (await heading().textContent()).replace(/\s+/g, " ").trim(),
      words: (locator) =>
        locator.evaluateAll((all) => all.map((one) => one.textContent.replace(/\s+/g, " ").trim())),
    };
  }

  // Jobs that build on each other are `chained`: none is begun after one that did not come to its end.
  async function run(jobs, { chained = false } = {}) {
    const met = {};
    for (const [name, job] of Object.entries(jobs)) {
      try {
        met[name] = await job();
      } catch (error) {
        met[name] = { error: String(error.stack ?? error) };
        if (chained) break;
      }
    }
    await browser.close();
    console.log(JSON.stringify({ ...met, views, faults }));
  }

  return { desk, run };
}
