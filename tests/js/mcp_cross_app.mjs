// The TypeScript SDK's client with its provider for cross-app access: from an ID token over the identity provider's
// grant (ID-JAG) to a token and a tool call, and no person in between.
//
//   MCP_CONFORMANCE_CONTEXT='{"client_id", "client_secret", "idp_client_id", "idp_id_token", "idp_token_endpoint"}' \
//     node mcp_cross_app.mjs MCP_URL
//
// The context is the one of the conformance tool's scenario auth/enterprise-managed-authorization; `expected_issuer` may
// come with it. Prints as its last line what was asked of the identity provider and what the tool said, as JSON.

import {
  Client,
  CrossAppAccessProvider,
  StreamableHTTPClientTransport,
  requestJwtAuthorizationGrant,
} from "@modelcontextprotocol/client";

const url = process.argv.at(-1);
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT);
const asked = [];

async function assertion({ authorizationServerUrl, resourceUrl, scope, fetchFn }) {
  asked.push({ audience: String(authorizationServerUrl), resource: String(resourceUrl), scope });
  const { jwtAuthGrant } = await requestJwtAuthorizationGrant({
    tokenEndpoint: context.idp_token_endpoint,
    audience: authorizationServerUrl,
    resource: resourceUrl,
    idToken: context.idp_id_token,
    clientId: context.idp_client_id,
    scope,
    fetchFn,
  });
  return jwtAuthGrant;
}

const authProvider = new CrossAppAccessProvider({
  assertion,
  clientId: context.client_id,
  clientSecret: context.client_secret,
  expectedIssuer: context.expected_issuer,
});
const client = new Client({ name: "interop", version: "1" });
await client.connect(new StreamableHTTPClientTransport(new URL(url), { authProvider }));
const { tools } = await client.listTools();
const tool = tools.find(({ name }) => name === "read_logs") ?? tools[0];
const answer = await client.callTool({ name: tool.name, arguments: {} });
await client.close();
console.log(
  JSON.stringify({
    asked,
    tools: tools.map(({ name }) => name).sort(),
    answer: answer.content[0]?.text,
    scope: authProvider.tokens().scope,
  }),
);
