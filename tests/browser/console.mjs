// An administrator in headless Chromium at the console of a running server. Prints what they met, as JSON.
//
//   node console.mjs '{"issuer": ..., "login": ..., "password": ..., "chromium": ..., "javascript": ..., ...}'
//
// Each job is done as people do it: by labels and buttons, from the navigation. Every page that a job passes is judged
// by axe, wide and light, narrow and dark; with `screenshots` it is photographed into that folder.

import { start } from "./desk.mjs";

const given = JSON.parse(process.argv[2]);
const { desk, run } = await start(given);
const { page, follow, signIn, look, open, fill, press, said, words } = await desk();

const jobs = {
  async onboard() {
    await signIn("console", given.login);
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
    await page.locator("#credential-name").fill("github");
    await fill("Where the secret is", "env:AUTHZ_SECRET_GITHUB");
    await fill("For tokens with", "files.read");
    await press("Let it have it");
    const credential = await words(page.getByRole("region", { name: "Credentials" }).locator("tbody code"));
    await look("server");
    const scopes = await words(page.getByRole("region", { name: "Scopes" }).locator("tbody th code"));
    await open("MCP servers");
    await look("servers");
    return { registered, declared, credential, scopes };
  },

  async makeAMistake() {
    await open("MCP servers");
    await fill("Address", given.server);
    await press("Register");
    const field = page.locator(":focus");
    const invalid = await field.getAttribute("aria-invalid");
    const told = (await field.getAttribute("aria-describedby")).split(" ").map((it) => `#${it}`);
    const met = { invalid, value: await field.inputValue(), beside: await words(page.locator(told.join(", "))) };
    await look("mistake", "section.card");
    return met;
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
    // No button is pressed: the answer follows what is typed, and so does what is wrong with it.
    await fill("Person", "nobody@example.com");
    await page.locator("#user[aria-invalid=true]").waitFor();
    const beside = await words(page.locator("#user-wrong"));
    const describedBy = await page.locator("#user").getAttribute("aria-describedby");
    const wrong = { beside, describedBy, stays: await page.locator("#user").evaluate((it) => it === document.activeElement) };
    await look("simulator-mistake", "form.asking");
    await fill("Person", given.person);
    await page.getByRole("heading", { name: "1 of 2 scopes, 2 tools" }).waitFor();
    wrong.left = await page.locator("[aria-invalid], .field-wrong").count();
    await look("simulator", "form.asking");
    const cells = (name) => words(page.getByRole("region", { name }).locator("tbody").locator("th, td"));
    return { granted: await cells("Granted"), refused: await cells("Refused"), wrong };
  },

  async findOutWhy() {
    await open("Why?");
    await fill("Person", given.refused);
    await press("Look up refusals");
    await look("why", "main .columns");
    const refusal = await words(page.getByRole("region", { name: "Refusals" }).locator("tbody th"));
    await follow(page.getByRole("link", { name: "Simulate" }).first());
    const person = await page.getByLabel("Person").inputValue();
    await page.getByLabel("MCP server").selectOption({ label: given.server });
    await page.getByRole("heading", { name: "No token" }).waitFor();
    const help = await words(page.getByRole("region", { name: "Refused" }).locator("tbody td:last-child"));
    return { refusal, person, help };
  },

  async lookAtPeople() {
    await open("People");
    await look("people");
    await follow(page.getByRole("link", { name: given.person }));
    await look("person");
    // Of several lists on a page one is searched, and the others stay.
    await page.locator("#roles-q").fill("no-such-role");
    await page.getByText("No role matches").waitFor();
    const asked = new URL(page.url()).searchParams.get("roles-q");
    const may = await words(page.getByRole("region", { name: "Table of what they may do" }).locator("tbody tr"));
    await open("Administrators");
    await look("administrators");
    await open("Agents");
    await look("agents");
    return { asked, may };
  },
};

await run(jobs, { chained: true });
