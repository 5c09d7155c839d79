// The TypeScript SDK's client as a workload: it brings a token of its platform instead of a registration.
//
//   node mcp_workload.mjs [--calls] MCP_URL
//
// The token and the name that the SDK insists on come as the conformance tool hands them over, in the environment.
// Prints as its last line what it saw, as JSON; a refusal is said once, and nothing else is tried.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";

const GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const { client_id, valid_jwt } = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT);
const url = process.argv.at(-1);
const calls = process.argv.includes("--calls");

class Workload {
  #tokens;
  #hasAsked = false;

  get redirectUrl() {
    return undefined;
  }
  get clientMetadata() {
    return { redirect_uris: [], grant_types: [GRANT], token_endpoint_auth_method: "none" };
  }
  clientInformation() {
    return { client_id };
  }
  tokens() {
    return this.#tokens;
  }
  saveTokens(tokens) {
    this.#tokens = tokens;
  }
  prepareTokenRequest(scope) {
    if (this.#hasAsked) throw new Error("refused; the next token of the platform is another day");
    this.#hasAsked = true;
    const fields = { grant_type: GRANT, assertion: valid_jwt, ...(scope ? { scope } : {}) };
    return new URLSearchParams(fields);
  }
  redirectToAuthorization() {
    throw new Error("a workload has no browser");
  }
  saveCodeVerifier() {}
  codeVerifier() {
    throw new Error("a workload has no code");
  }
}

const client = new Client({ name: "workload", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider: new Workload() }));
const { tools } = await client.listTools();
const answer = { tools: tools.map((tool) => tool.name).sort() };
if (calls) {
  const called = await client.callTool({ name: "read_logs", arguments: {} });
  answer.allowed = called.content[0].text;
}
await client.close();
console.log(JSON.stringify(answer));
