// Administrators who decide about clients, access and keys, and a person at their own page. Prints what they met, as JSON.
//
//   node access.mjs '{"issuer": ..., "owner": ..., "person": ..., "password": ..., "client": ..., ...}'
//
// Each job is done as people do it: by labels and buttons, from the navigation.

import { start } from "./desk.mjs";

const given = JSON.parse(process.argv[2]);
const { desk, run } = await start(given);
const admin = await desk();
const affected = () => admin.words(admin.page.locator(".bullets li"));

await run({
  async approveAClient() {
    await admin.signIn("console", given.owner);
    await admin.open("Requests");
    await admin.look("requests");
    await admin.follow(admin.page.getByRole("button", { name: `Approve ${given.wanted}` }));
    const said = await admin.said();
    await admin.open("Trust rules");
    const rules = await admin.words(admin.page.getByRole("region", { name: "Trust rules" }).locator("tbody th"));
    await admin.look("trust-rules");
    await admin.open("Clients");
    await admin.look("clients");
    await admin.follow(admin.page.getByRole("link", { name: "Test client" }));
    await admin.look("client");
    await admin.open("Self-registration");
    await admin.look("self-registration");
    return { said, rules };
  },

  async disconnectAnApplication() {
    const person = await desk({ javaScriptEnabled: true });
    await person.signIn("account", given.person);
    const before = await person.words(person.page.locator(".connection h3"));
    await person.look("account");
    await person.follow(person.page.getByRole("button", { name: "Disconnect Other client from Operations" }));
    const asked = await person.heading();
    const loses = await person.words(person.page.locator(".mays li"));
    await person.look("disconnect");
    await person.press("Disconnect");
    const said = await person.said();
    const after = await person.words(person.page.locator(".connection h3"));
    return { before, asked, loses, said, after };
  },

  async cutSomebodyOff() {
    await admin.open("Live grants");
    await admin.look("grants");
    await admin.open("Sessions");
    await admin.look("sessions");
    await admin.open("Cut somebody off");
    await admin.fill("Whom", given.person);
    await admin.press("Look them up");
    await admin.look("cut-off");
    await admin.page.getByLabel("The account", { exact: true }).selectOption("yes");
    await admin.press("Cut off");
    const affects = await affected();
    await admin.press("Cut off");
    const said = await admin.said();
    const figures = await admin.words(admin.page.locator(".figures li"));
    await admin.open("Offboarding clock");
    await admin.look("offboarding");
    return { affects, said, figures };
  },

  async findItInTheTrail() {
    await admin.open("Audit trail");
    // No button is pressed: the list follows what is typed.
    await admin.page.getByLabel("What", { exact: true }).selectOption("admin.changed");
    await admin.fill("Person, about or by", given.owner);
    await admin.page.getByText("user.end_access").first().waitFor();
    await admin.look("audit");
    await admin.follow(admin.page.locator("tbody tr", { hasText: "user.end_access" }).first().getByRole("link").last());
    const kind = await admin.heading();
    await admin.look("event");
    await admin.open("Story");
    await admin.fill("Of a login, grt_…, at_…, or a trace", given.person);
    await admin.press("Tell it");
    const told = await admin.words(admin.page.getByRole("region", { name: "Story" }).locator("tbody th"));
    await admin.look("story");
    return { kind, told };
  },

  async rotateAKey() {
    await admin.open("Signing keys");
    await admin.page.getByLabel("Key", { exact: true }).selectOption("access_token ES256");
    await admin.press("Rotate");
    const affects = await affected();
    await admin.press("Rotate it");
    const said = await admin.said();
    const states = await admin.words(
      admin.page.getByRole("region", { name: "Signing keys" }).locator("tbody tr", { hasText: "access tokens" }).locator(".badge"),
    );
    await admin.look("keys");
    await admin.open("Settings");
    await admin.look("settings");
    return { affects, said, states };
  },

  async connectAProvider() {
    await admin.open("Identity providers");
    await admin.look("connections");
    await admin.page.getByLabel("Product", { exact: true }).selectOption("oidc:okta");
    await admin.press("Go on");
    await admin.look("connect");
    await admin.fill("Short name", "okta");
    await admin.fill("Name on the button", "Okta");
    await admin.fill("Issuer", "https://corp.okta.com");
    await admin.fill("Client identifier there", "abc");
    await admin.fill("Client secret", "env:AUTHZ_SECRET_OKTA");
    await admin.press("Connect");
    const said = await admin.said();
    await admin.look("connection");
    await admin.open("Domains");
    await admin.fill("Domain", "corp.example");
    await admin.press("Add it");
    const record = await admin.words(admin.page.getByRole("region", { name: "Domains" }).locator("tbody code"));
    await admin.look("domains");
    for (const [title, name] of [
      ["Provisioning", "provisioning"],
      ["Security signals", "signals"],
    ]) {
      await admin.open(title);
      await admin.look(name);
    }
    return { said, record };
  },

  async trustAnIssuer() {
    await admin.open("ID-JAG issuers");
    await admin.fill("Short name", "partner");
    await admin.fill("Issuer", "https://idp.partner.example");
    await admin.fill("Address of its keys", "https://idp.partner.example/keys");
    await admin.page.getByLabel("Scopes it can lead to", { exact: true }).selectOption("yes");
    await admin.fill("Which scopes", "logs.read");
    await admin.press("What would it accept?");
    await admin.look("issuer-preview", "main .preview");
    const scope = admin.page.getByRole("region", { name: "Table: An assertion it would accept" });
    const foreseen = await admin.words(scope.locator("tr", { hasText: "scope" }).locator("td"));
    await admin.press("Trust it");
    const said = await admin.said();
    await admin.look("issuer");
    await admin.open("ID-JAG issuers");
    await admin.look("issuers");
    await admin.open("Workloads");
    await admin.fill("Short name", "cluster");
    await admin.page.getByLabel("Platform", { exact: true }).selectOption("kubernetes");
    await admin.fill("Issuer", "https://cluster.example");
    await admin.fill("Address of its keys", "https://cluster.example/keys");
    await admin.press("Trust it");
    await admin.fill("Name of the rule", "router");
    await admin.fill("Subject", "system:serviceaccount:agents:router");
    await admin.fill("What its tokens have to say besides", "kubernetes.io > namespace = agents");
    await admin.page.getByLabel(given.server, { exact: true }).check();
    await admin.page.getByLabel("developer", { exact: true }).check();
    await admin.press("Allow it");
    const allowed = await admin.words(admin.page.getByRole("region", { name: "Rules" }).locator("tbody tr").first().locator("td"));
    await admin.look("workload");
    return { foreseen, said, allowed };
  },

  async lookAtTheRest() {
    for (const [title, name] of [
      ["Workloads", "workloads"],
      ["Targets", "targets"],
      ["Delegations", "delegations"],
      ["Readiness", "readiness"],
      ["Access reviews", "reviews"],
    ]) {
      await admin.open(title);
      await admin.look(name);
    }
    return {};
  },
});
