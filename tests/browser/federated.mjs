// A person in headless Chromium who signs in where their company does. Prints where they were, and the answer the client got.
//
//   node federated.mjs '{"start": URL, "button": TEXT, "redirectUri": URL, "chromium": PATH, "javascript": FOLDER}'
//
// With `credentials` (values by the name of the field) the company has a sign-in page, which is filled in. `cookies` says
// of each navigation whether the browser had a cookie for it.

import { launch } from "./chrome.mjs";

const given = JSON.parse(process.argv[2]);
const { browser, judge } = await launch(given);
const page = await (await browser.newContext()).newPage();
page.setDefaultTimeout(60_000);
const faults = [];
const hosts = [];
const cookies = [];
page.on("console", (message) => message.type() === "error" && faults.push(message.text()));
page.on("pageerror", (error) => faults.push(String(error)));
page.on("request", async (request) => {
  if (!request.isNavigationRequest()) return;
  const url = new URL(request.url());
  hosts.push(url.host);
  const place = `${request.method()} ${url.host}${url.pathname}`;
  cookies.push([place, "cookie" in (await request.allHeaders())]);
});
await page.route(`${given.redirectUri}*`, (route) =>
  route.fulfill({ contentType: "text/html", body: "<title>Back at the client</title>" }),
);

const headings = [];
const look = async () => headings.push(await page.locator("h1").innerText());

// What was on the screen says more of a step that did not come than its name does.
process.on("uncaughtException", async (fault) => {
  const seen = await page.locator("body").innerText().catch(String);
  console.error(`${fault}\n\nat ${page.url()}:\n${seen}\n\n${JSON.stringify({ cookies, faults })}`);
  process.exit(1);
});

await page.goto(given.start);
await look();
const violations = await judge(page);
await page.getByRole("button", { name: given.button }).click();
for (const [name, value] of Object.entries(given.credentials ?? {})) {
  await page.locator(`input[name="${name}"]`).fill(value);
}
if (Object.keys(given.credentials ?? {}).length) await page.keyboard.press("Enter");
await page.getByRole("button", { name: "Allow" }).waitFor();
await look();
await page.getByRole("button", { name: "Allow" }).click();
await page.waitForURL((url) => String(url).startsWith(given.redirectUri));
const answer = Object.fromEntries(new URL(page.url()).searchParams);
await browser.close();
console.log(
  JSON.stringify({ answer, headings, hosts, cookies, faults, axe: violations }),
);
