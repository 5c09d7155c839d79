// Two administrators of a tenant that changes nothing alone, and what they look at besides. Prints what they met, as JSON.
//
//   node review.mjs '{"issuer": ..., "base": ..., "owner": ..., "second": ..., "root": ..., "password": ..., ...}'
//
// One asks, the other looks and decides: a tool that was added to a scope, and a change of policy.

import { start } from "./desk.mjs";

const given = JSON.parse(process.argv[2]);
const { desk, run } = await start(given);
const owner = await desk();
const second = await desk();
const affected = (who) => who.words(who.page.locator(".bullets li"));

async function set(label, value) {
  const form = owner.page.locator("form", { has: owner.page.getByLabel(label, { exact: true }) });
  await form.locator("select").selectOption(value);
  await owner.follow(form.getByRole("button", { name: "Set", exact: true }));
  return owner.said();
}

const jobs = {
  async mergeTwoEdits() {
    await owner.signIn("console", given.owner);
    await owner.open("Roles");
    await owner.follow(owner.page.getByRole("link", { name: "developer", exact: true }));
    const place = owner.page.url();
    const elsewhere = await owner.page.context().newPage();
    await elsewhere.goto(place);
    await elsewhere.getByLabel("What it is for", { exact: true }).fill("Whoever writes services");
    await elsewhere.getByRole("button", { name: "Save", exact: true }).click();
    await elsewhere.getByRole("status").first().waitFor();
    await elsewhere.close();
    await owner.fill("What it is for", "Engineers");
    await owner.press("Save");
    const heading = await owner.heading();
    const sides = await owner.words(owner.page.locator(".ledger dd"));
    await owner.look("merge");
    await owner.press("Save");
    return { heading, sides, said: await owner.said() };
  },

  async reviewATool() {
    await owner.open("Settings");
    const mode = await set("A tool that is added to a scope counts", "reviewed");
    await owner.open("MCP servers");
    await owner.follow(owner.page.getByRole("link", { name: given.server, exact: true }));
    await owner.follow(owner.page.getByRole("link", { name: "Change logs.read", exact: true }));
    await owner.fill("Tools", "read_logs tail_logs purge_logs");
    await owner.follow(owner.page.locator("#declare ~ form").getByRole("button", { name: "Change", exact: true }));
    await owner.said();
    await second.signIn("console", given.second);
    await second.open("MCP servers");
    await second.follow(second.page.getByRole("link", { name: given.server, exact: true }));
    const waits = await second.words(second.page.getByRole("region", { name: "Scopes" }).locator("tr", { hasText: "purge_logs" }).locator(".badge-warn"));
    await second.look("tools-to-approve");
    await second.press("Approve the tools of logs.read");
    return { mode, waits, said: await second.said(), left: await second.page.getByText("waits for a review").count() };
  },

  async reviewAChange() {
    await owner.open("Settings");
    const mode = await set("A change of policy takes", "two_person");
    await owner.look("change-settings", "section:has(#control-card)");
    await owner.open("Roles");
    await owner.follow(owner.page.getByRole("link", { name: "sre", exact: true }));
    await owner.page.getByLabel("Kind", { exact: true }).selectOption("user");
    await owner.fill("Who", given.person);
    await owner.press("Give it");
    await owner.fill("Why", "On call from Monday");
    await owner.look("propose");
    await owner.press("Ask for it");
    const asked = await owner.said();
    const own = await owner.page.getByRole("button", { name: "Approve", exact: true }).count();
    await second.open("Changes");
    await second.look("changes");
    await second.follow(second.page.getByRole("region", { name: "Changes" }).getByRole("link").first());
    const gains = await second.words(second.page.getByRole("region", { name: "Effect" }).locator("tbody tr"));
    await second.look("change");
    await second.fill("Note", "Agreed");
    await second.press("Approve");
    return { mode, asked, own, gains, said: await second.said(), heading: await second.heading() };
  },

  async goBackToAVersion() {
    await owner.open("Versions");
    await owner.look("versions");
    await owner.follow(owner.page.getByRole("region", { name: "Versions of policy" }).getByRole("link").first());
    await owner.look("version");
    const changed = await owner.words(owner.page.locator("pre.code"));
    await owner.press("Make it so again");
    const affects = await affected(owner);
    await owner.look("sure");
    return { changed, affects };
  },

  async keepTheTrail() {
    await owner.open("Legal holds");
    await owner.fill("Why", "Case 17, asked by the lawyers");
    await owner.fill("Of whom", given.person);
    await owner.press("Place it");
    const said = await owner.said();
    const hold = await owner.words(owner.page.getByRole("region", { name: "Legal holds" }).locator("tbody tr").first().locator("th, td"));
    await owner.look("holds");
    await owner.press(`Release ${given.person}`);
    return { said, hold, affects: await affected(owner) };
  },

  async answerAReview() {
    await owner.open("Access reviews");
    await owner.follow(owner.page.getByRole("link", { name: "Fourth quarter" }));
    const open = await owner.page.getByRole("button", { name: /^Keep/ }).count();
    await owner.look("review");
    await owner.follow(owner.page.getByRole("button", { name: /^Keep/ }).first());
    return { open, said: await owner.said(), left: await owner.page.getByRole("button", { name: /^Keep/ }).count() };
  },

  async lookAtTheRest() {
    for (const [title, link, name] of [
      ["Groups", "on-call", "group"],
      ["Agents", "triage", "agent"],
      ["Targets", "vendor", "target"],
    ]) {
      await owner.open(title);
      await owner.follow(owner.page.getByRole("region").getByRole("link", { name: link, exact: true }));
      await owner.look(name);
    }
    const root = await desk();
    await root.signIn("console", given.root, given.base);
    await root.open("Tenants");
    await root.look("tenants");
    return { tenants: await root.words(root.page.getByRole("region", { name: "Tenants" }).locator("tbody th")) };
  },
};

await run(jobs, { chained: true });
