// The TypeScript SDK's client as a program without a person, with its own providers for a secret and for a key.
//
//   node mcp_service.mjs MCP_URL ISSUER '[{clientId, clientSecret}, {clientId, privateKey, algorithm}]'
//
// Prints as its last line what each of the clients sees and is told, as JSON.

import {
  Client,
  ClientCredentialsProvider,
  PrivateKeyJwtProvider,
  StreamableHTTPClientTransport,
} from "@modelcontextprotocol/client";

const [url, expectedIssuer, clients] = process.argv.slice(2);

async function use(options) {
  const Provider = options.clientSecret ? ClientCredentialsProvider : PrivateKeyJwtProvider;
  const authProvider = new Provider({ ...options, expectedIssuer });
  const client = new Client({ name: "interop", version: "1" });
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider }));
  const { tools } = await client.listTools();
  const allowed = await client.callTool({ name: "read_logs", arguments: {} });
  await client.close();
  return { tools: tools.map((tool) => tool.name).sort(), allowed: allowed.content[0].text };
}

const answers = [];
for (const options of JSON.parse(clients)) answers.push(await use(options));
console.log(JSON.stringify(answers));
