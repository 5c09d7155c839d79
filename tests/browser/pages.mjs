// A person in headless Chromium at the pages of a running server. Prints what they met, as JSON, for the tests to judge.
//
//   node pages.mjs '{"issuer": ..., "clientId": ..., "resource": ..., "login": ..., "password": ..., ...}'
//
// Every scenario has a browser profile of its own. Whatever it meets that no page of ours may do (a console
// error, a blocked load, a request to somebody else's origin) is collected under `faults`.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { join } from "node:path";

import { arrive, launch, plain, sideways } from "./chrome.mjs";

const given = JSON.parse(process.argv[2]);
const DESKTOP = { width: 1180, height: 820 };
const PHONE = { width: 360, height: 740 };
const VIEWS = [DESKTOP, PHONE].flatMap((viewport) =>
  ["light", "dark"].map((colorScheme) => ({ viewport, colorScheme })),
);
const VERIFIER = "v".repeat(64);
const CHALLENGE = createHash("sha256").update(VERIFIER).digest("base64url");

const arrivals = [];
const callback = createServer((request, response) => {
  response.setHeader("Content-Type", "text/html");
  response.end("<title>Back at the client</title>");
  if (request.url.startsWith("/callback")) arrivals.push(new URL(request.url, redirectUri));
});
await new Promise((resolve) => callback.listen(0, "127.0.0.1", resolve));
const redirectUri = `http://127.0.0.1:${callback.address().port}/callback`;

const { browser, judge } = await launch(given);

function authorizeUrl(more = {}) {
  const url = new URL(`${given.issuer}/authorize`);
  const parameters = {
    response_type: "code",
    client_id: given.clientId,
    redirect_uri: redirectUri,
    code_challenge: CHALLENGE,
    code_challenge_method: "S256",
    state: "st",
    resource: given.resource,
    scope: given.scope,
    ...more,
  };
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return String(url);
}

async function open(options = {}) {
  const context = await browser.newContext({ viewport: DESKTOP, ...options });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const faults = [];
  const ours = new Set([new URL(given.issuer).origin, new URL(redirectUri).origin]);
  page.on("console", (message) => {
    // A page with an error status is reported there by Chromium itself, whatever the page does.
    const refusal = message.text().startsWith("Failed to load resource") && message.location().url === page.url();
    if (message.type() === "error" && !refusal) faults.push(message.text());
  });
  page.on("pageerror", (error) => faults.push(String(error)));
  page.on("request", (request) => {
    if (!ours.has(new URL(request.url()).origin)) faults.push(`asks elsewhere: ${request.url()}`);
  });
  page.on("requestfailed", (request) => faults.push(`failed: ${request.url()} ${request.failure()?.errorText}`));
  return { context, page, faults };
}

const press = (page, name) => arrive(page, () => page.getByRole("button", { name }).click());

async function signIn(page, password = given.password) {
  await page.getByLabel("User name or email").fill(given.login);
  await page.getByLabel("Password").fill(password);
  await press(page, "Sign in");
}

// As people do it: the words are the larger target.
async function untick(page) {
  await page.locator("label", { hasText: given.untickedWords }).click();
}

async function shoot(page, name) {
  if (!given.screenshots) return;
  await plain(page);
  await page.locator("main").screenshot({ path: join(given.screenshots, `${name}.png`) });
}

async function redeem(answer) {
  const response = await fetch(`${given.issuer}/token`, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      client_id: given.clientId,
      code: answer.searchParams.get("code"),
      code_verifier: VERIFIER,
      redirect_uri: redirectUri,
    }),
  });
  return response.json();
}

const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";

const post = async (path, fields) =>
  (await fetch(`${given.issuer}${path}`, { method: "POST", body: new URLSearchParams(fields) })).json();

const askFromDevice = () =>
  post("/device_authorization", { client_id: given.headless, resource: given.resource, scope: given.scope });

const poll = ({ device_code }) =>
  post("/token", { grant_type: DEVICE_GRANT, client_id: given.headless, device_code });

async function answered(page) {
  await page.waitForURL((url) => String(url).startsWith(redirectUri));
  return arrivals.at(-1);
}

const scenarios = {
  async login() {
    const { page, faults } = await open();
    await page.goto(authorizeUrl());
    await shoot(page, "login");
    return {
      faults,
      heading: await page.getByRole("heading", { level: 1 }).textContent(),
      asker: await page.locator(".asker .host").textContent(),
      focused: await page.evaluate(() => document.activeElement?.id),
      styled: await page.evaluate(() => document.styleSheets.length),
    };
  },

  async wrongPassword() {
    const { page, faults } = await open();
    await page.goto(authorizeUrl());
    await signIn(page, "not the password");
    const alert = await page.getByRole("alert").textContent();
    const kept = await page.getByLabel("User name or email").inputValue();
    const typed = await page.getByLabel("Password").inputValue();
    await signIn(page);
    const heading = await page.getByRole("heading", { level: 1 }).textContent();
    return { faults, alert: alert.trim(), kept, typed, heading };
  },

  async consent() {
    const { context, page, faults } = await open();
    await page.goto(authorizeUrl());
    await signIn(page);
    const logo = page.locator(".route img");
    await logo.evaluate((image) => image.decode());
    const facts = {
      heading: await page.getByRole("heading", { level: 1 }).textContent(),
      hosts: await page.locator(".route .host").allTextContents(),
      warning: await page.getByText("Any program on this computer could be asking.").isVisible(),
      logoSource: await logo.evaluate((image) => image.src),
      logoWidth: await logo.evaluate((image) => image.naturalWidth),
      offered: await page.locator('input[name="scope"]').evaluateAll((boxes) => boxes.map((box) => box.value)),
      notPossible: await page.locator(".removed code").allTextContents(),
      cookies: (await context.cookies()).map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite })),
    };
    await shoot(page, "consent");
    await untick(page);
    await press(page, "Allow");
    const answer = await answered(page);
    const tokens = await redeem(answer);
    return { faults, ...facts, sent: Object.fromEntries(answer.searchParams), granted: tokens.scope };
  },

  async denial() {
    const { page, faults } = await open();
    await page.goto(authorizeUrl({ prompt: "consent" }));
    await signIn(page);
    await press(page, "Deny");
    const answer = await answered(page);
    return { faults, sent: Object.fromEntries(answer.searchParams) };
  },

  async enterInABoxDenies() {
    const { page, faults } = await open();
    await page.goto(authorizeUrl({ prompt: "consent" }));
    await signIn(page);
    await page.locator('input[name="scope"]').first().press("Enter");
    const answer = await answered(page);
    return { faults, sent: Object.fromEntries(answer.searchParams) };
  },

  async anotherAccount() {
    const { page, faults } = await open();
    await page.goto(authorizeUrl({ prompt: "consent" }));
    await signIn(page);
    await press(page, "Use another account");
    return { faults, heading: await page.getByRole("heading", { level: 1 }).textContent() };
  },

  async withoutScript() {
    const { page, faults } = await open({ javaScriptEnabled: false });
    await page.goto(authorizeUrl({ prompt: "consent" }));
    await signIn(page);
    await untick(page);
    await press(page, "Allow");
    const tokens = await redeem(await answered(page));
    return { faults, granted: tokens.scope };
  },

  async device() {
    const device = await askFromDevice();
    const { page, faults } = await open({ javaScriptEnabled: false });
    await page.goto(device.verification_uri_complete);
    await signIn(page);
    const filledIn = await page.getByLabel("The code that your device shows").inputValue();
    const before = await poll(device);
    await press(page, "Continue");
    const facts = {
      heading: await page.getByRole("heading", { level: 1 }).textContent(),
      warning: await page.getByText("Did somebody send you this code or this link?").isVisible(),
      hosts: await page.locator(".route .host").allTextContents(),
      offered: await page.locator('input[name="scope"]').evaluateAll((boxes) => boxes.map((box) => box.value)),
      notPossible: await page.locator(".removed code").allTextContents(),
    };
    await shoot(page, "device");
    await page.locator(".scope label").last().click();
    await press(page, "Allow");
    const told = await page.getByRole("heading", { level: 1 }).textContent();
    const tokens = await poll(device);
    return { faults, device, filledIn, before: before.error, ...facts, told, granted: tokens.scope };
  },

  async enterInABoxRefusesADevice() {
    const device = await askFromDevice();
    const { page, faults } = await open();
    await page.goto(device.verification_uri);
    await signIn(page);
    const focused = await page.evaluate(() => document.activeElement?.id);
    await page.keyboard.type(device.user_code.replace("-", " ").toLowerCase());
    await arrive(page, () => page.keyboard.press("Enter"));
    await arrive(page, () => page.locator('input[name="scope"]').first().press("Enter"));
    const told = await page.getByRole("heading", { level: 1 }).textContent();
    return { faults, focused, told, polled: (await poll(device)).error };
  },

  async views() {
    const found = {};
    for (const view of VIEWS) {
      const { context, page, faults } = await open(view);
      const label = `${view.viewport.width} ${view.colorScheme}`;
      const look = async (name) => {
        found[`${name} ${label}`] = { axe: await judge(page), sideways: await sideways(page) };
      };
      await page.goto(authorizeUrl({ prompt: "consent" }));
      await look("login");
      await signIn(page, "not the password");
      await look("login refused");
      await signIn(page);
      await page.locator("details").evaluateAll((all) => all.forEach((one) => (one.open = true)));
      await look("consent");
      const device = await askFromDevice();
      await page.goto(device.verification_uri);
      await look("device");
      await page.getByLabel("The code that your device shows").fill("BBBB-BBBB");
      await press(page, "Continue");
      await look("device refused");
      await page.getByLabel("The code that your device shows").fill(device.user_code);
      await press(page, "Continue");
      await page.locator("details").evaluateAll((all) => all.forEach((one) => (one.open = true)));
      await look("device confirm");
      await press(page, "Allow");
      await look("device allowed");
      await page.goto(authorizeUrl({ client_id: "nobody" }));
      await look("error");
      await page.goto(given.issuer);
      await look("index");
      found[`faults ${label}`] = { axe: faults, sideways: 0 };
      await context.close();
    }
    return { faults: [], found };
  },
};

const met = {};
for (const [name, scenario] of Object.entries(scenarios)) {
  try {
    met[name] = await scenario();
  } catch (error) {
    met[name] = { error: String(error.stack ?? error) };
  }
  for (const context of browser.contexts()) await context.close();
}
await browser.close();
callback.close();
console.log(JSON.stringify(met));
