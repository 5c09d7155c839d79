// An administrator in headless Chromium at the console of a running server. Prints what they met, as JSON.
//
//   node console.mjs '{"issuer": ..., "login": ..., "password": ..., "chromium": ..., "javascript": ..., ...}'
//
// Each job is done as people do it: by labels and buttons, from the navigation. Every page that a job passes is judged
// by axe, wide and light, narrow and dark; with `screenshots` it is photographed into that folder.

import { createRequire } from "node:module";
import { join } from "node:path";

const given = JSON.parse(process.argv[2]);
const require = createRequire(join(given.javascript, "package.json"));
const { chromium } = require("playwright-core");
const { AxeBuilder } = require("@axe-core/playwright");

const WIDE = { width: 940, height: 640 };
const NARROW = { width: 380, height: 740 };
const VIEWS = [
  ["wide", WIDE, "light"],
  ["narrow", NARROW, "dark"],
];

const browser = await chromium.launch({
  executablePath: given.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
const context = await browser.newContext({ viewport: WIDE, colorScheme: "light", reducedMotion: "reduce" });
context.setDefaultTimeout(20_000);
const page = await context.newPage();
const faults = [];
const views = {};
const own = new URL(given.issuer).origin;
page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
page.on("pageerror", (error) => faults.push(String(error)));
page.on("request", (request) => {
  if (new URL(request.url()).origin !== own) faults.push(`asks elsewhere: ${request.url()}`);
});

const sideways = () =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);

// Judge the page as it stands, and photograph it under this name, from this part of it on.
async function look(name, from = "main") {
  if (given.screenshots) {
    await page.evaluate(() => {
      document.activeElement.blur();
      scrollTo(0, 0);
    });
    const { y } = await page.locator(from).boundingBox();
    const main = await page.locator("main").boundingBox();
    const clip = { x: 0, y, width: WIDE.width, height: Math.min(main.y + main.height - y, WIDE.height) };
    await page.screenshot({ path: join(given.screenshots, `console-${name}.png`), fullPage: true, clip });
  }
  for (const [view, viewport, colorScheme] of VIEWS) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    const { violations } = await new AxeBuilder({ page }).analyze();
    views[`${name} ${view}`] = {
      axe: violations.map((it) => `${it.id}: ${it.nodes.map((node) => node.target.join(" ")).join(", ")}`),
      sideways: await sideways(),
    };
  }
  await page.setViewportSize(WIDE);
  await page.emulateMedia({ colorScheme: "light" });
}

async function open(title) {
  const menu = page.locator("details.menu");
  if (!(await menu.evaluate((it) => it.open))) await menu.locator("summary").click();
  await page.getByRole("navigation", { name: "Console" }).getByRole("link", { name: title, exact: true }).click();
  await page.getByRole("heading", { level: 1 }).waitFor();
}

const fill = (label, value) => page.getByLabel(label, { exact: true }).fill(value);
const press = (name) => page.getByRole("button", { name, exact: true }).click();
const said = async () => (await page.getByRole("status").first().textContent()).trim();
const words = (locator) => locator.evaluateAll((all) => all.map((one) => one.textContent.replace(/\s+/g, " ").trim()));

const jobs = {
  async onboard() {
    await page.goto(`${given.issuer}/console`);
    // Where there is an identity provider, a password is one way among others.
    await page.locator("#login").fill(given.login);
    if (!(await page.locator("#password").count())) await page.locator("button[name=with][value=password]").click();
    await page.getByLabel("Password").fill(given.password);
    await press("Sign in");
    await page.getByRole("heading", { name: "Overview" }).waitFor();
    await look("overview");
    await open("MCP servers");
    await fill("Address", given.server);
    await fill("Name", "Files");
    await fill("Owner", given.login);
    await press("Register");
    const registered = await said();
    for (const [scope, text, risk, tools] of [
      ["files.read", "Read files", "read", "list_files read_file"],
      ["files.write", "Write files", "write", "write_file"],
    ]) {
      await page.locator("#name").fill(scope);
      await fill("What it lets do", text);
      await page.getByLabel("Risk", { exact: true }).selectOption(risk);
      await fill("Tools", tools);
      await press("Declare");
    }
    const declared = await said();
    await look("server");
    const scopes = await words(page.getByRole("region", { name: "Scopes" }).locator("tbody th code"));
    await open("MCP servers");
    await look("servers");
    return { registered, declared, scopes };
  },

  async defineARole() {
    await open("Roles");
    await fill("Name", "reader");
    await fill("What it is for", "Reads files");
    await press("Add");
    const added = await said();
    await page.getByLabel("Kind", { exact: true }).selectOption("user");
    await fill("Who", given.person);
    await press("Give it");
    const bound = await said();
    await look("role");
    await open("Matrix");
    await page.getByLabel("MCP server").selectOption({ label: given.server });
    await press("Show");
    await page.getByLabel("reader holds files.read here").check();
    await press("Who gains and who loses?");
    await look("effect");
    const gains = await words(page.getByRole("region", { name: "Effect" }).locator("tbody").locator("th, td"));
    await press("Make this change");
    const saved = await said();
    await look("matrix");
    const ticked = await page.getByLabel("reader holds files.read here").isChecked();
    await open("Roles");
    await look("roles");
    return { added, bound, gains, saved, ticked };
  },

  async mapAGroup() {
    await open("Mappings");
    await page.locator("#connection").selectOption("okta");
    await fill("Claim", "groups");
    await fill("Value", "Readers");
    await page.getByLabel("Leads to the role").selectOption("reader");
    await press("Add");
    const added = await said();
    await look("mappings");
    const row = await words(page.getByRole("region", { name: "Mappings" }).locator("tbody tr").first().locator("td, th"));
    await open("Groups");
    await look("groups");
    return { added, row };
  },

  async predictAToken() {
    await open("Simulator");
    await page.getByLabel("MCP server").selectOption({ label: given.server });
    // No button is pressed: the answer follows what is typed.
    await fill("Person", given.person);
    await page.getByRole("heading", { name: "1 of 2 scopes, 2 tools" }).waitFor();
    await look("simulator", "form.asking");
    const cells = (name) => words(page.getByRole("region", { name }).locator("tbody").locator("th, td"));
    return { granted: await cells("Granted"), refused: await cells("Refused") };
  },

  async findOutWhy() {
    await open("Why?");
    await fill("Person", given.refused);
    await press("Look up refusals");
    await look("why", "main .columns");
    const refusal = await words(page.getByRole("region", { name: "Refusals" }).locator("tbody th"));
    await page.getByRole("link", { name: "Simulate" }).first().click();
    const person = await page.getByLabel("Person").inputValue();
    await page.getByLabel("MCP server").selectOption({ label: given.server });
    await page.getByRole("heading", { name: "No token" }).waitFor();
    const help = await words(page.getByRole("region", { name: "Refused" }).locator("tbody td:last-child"));
    return { refusal, person, help };
  },

  async lookAtPeople() {
    await open("People");
    await look("people");
    await page.getByRole("link", { name: given.person }).click();
    await look("person");
    const may = await words(page.getByRole("region", { name: "Table of what they may do" }).locator("tbody tr"));
    await open("Administrators");
    await look("administrators");
    await open("Agents");
    await look("agents");
    return { may };
  },
};

const met = {};
for (const [name, job] of Object.entries(jobs)) {
  try {
    met[name] = await job();
  } catch (error) {
    met[name] = { error: String(error.stack ?? error), at: page.url() };
    break;
  }
}
await browser.close();
console.log(JSON.stringify({ ...met, views, faults }));
