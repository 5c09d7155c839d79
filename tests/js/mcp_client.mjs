// The TypeScript SDK's client through the whole flow, identified by the URL of its metadata document.
//
//   node mcp_client.mjs MCP_URL CLIENT_ID_URL ALLOWED_TOOL REFUSED_TOOL
//
// Prints the addresses that a browser has to visit, and as its last line what happened, as JSON.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { listen } from "./callback.mjs";

const [url, clientMetadataUrl, allowedTool, refusedTool] = process.argv.slice(2);
const callback = await listen();

class Memory {
  clientMetadataUrl = clientMetadataUrl;
  answers = [];
  saved = [];
  #client;
  #tokens;
  #verifier;

  get redirectUrl() {
    return callback.redirectUri;
  }
  get clientMetadata() {
    return {
      client_name: "Terminal agent",
      redirect_uris: [callback.redirectUri],
      grant_types: ["authorization_code", "refresh_token"],
      response_types: ["code"],
      token_endpoint_auth_method: "none",
    };
  }
  state() {
    return (this.lastState = crypto.randomUUID());
  }
  clientInformation() {
    return this.#client;
  }
  saveClientInformation(client) {
    this.#client = client;
  }
  tokens() {
    return this.#tokens;
  }
  saveTokens(tokens) {
    this.#tokens = tokens;
    this.saved.push(tokens);
  }
  async redirectToAuthorization(address) {
    this.answers.push(await callback.open(address));
  }
  saveCodeVerifier(verifier) {
    this.#verifier = verifier;
  }
  codeVerifier() {
    return this.#verifier;
  }
  spoilAccessToken() {
    this.#tokens = { ...this.#tokens, access_token: "expired" };
  }
}

const memory = new Memory();
const failure = (promise) => promise.then(() => null, (error) => error);

async function connect(options = {}) {
  const transport = new StreamableHTTPClientTransport(new URL(url), { authProvider: memory, ...options });
  const client = new Client({ name: "interop", version: "1" });
  return { transport, client, connected: client.connect(transport) };
}

async function finish(transport) {
  const { searchParams } = memory.answers.at(-1);
  if (searchParams.get("state") !== memory.lastState) throw new Error("state differs");
  await transport.finishAuth(searchParams);
}

const first = await connect();
const unauthorized = await failure(first.connected);
await finish(first.transport);

const second = await connect();
await second.connected;
const { tools } = await second.client.listTools();
const allowed = await second.client.callTool({ name: allowedTool, arguments: {} });

// By default the SDK asks for more on a 403 and sends the person to the browser once more.
const steppedUp = await failure(second.client.callTool({ name: refusedTool, arguments: {} }));
await finish(second.transport);

const third = await connect({ onInsufficientScope: "throw" });
await third.connected;
const refused = await failure(third.client.callTool({ name: refusedTool, arguments: {} }));

memory.spoilAccessToken();
const visits = memory.answers.length;
const refreshed = await third.client.callTool({ name: allowedTool, arguments: {} });

for (const { client } of [second, third]) await client.close();
callback.close();
console.log(
  JSON.stringify({
    unauthorized: unauthorized?.name ?? unauthorized?.constructor.name,
    clientId: memory.clientInformation()?.client_id,
    iss: memory.answers.map((answer) => answer.searchParams.get("iss")),
    tools: tools.map((tool) => tool.name).sort(),
    allowed: allowed.content[0].text,
    steppedUp: steppedUp?.constructor.name,
    refused: { name: refused?.constructor.name, scope: refused?.requiredScope },
    refreshed: refreshed.content[0].text,
    visitsForRefresh: memory.answers.length - visits,
    scopes: memory.saved.map((tokens) => tokens.scope),
    refreshTokens: memory.saved.map((tokens) => tokens.refresh_token),
  }),
);
