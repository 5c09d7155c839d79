// `openid-client`, a certified OAuth client that knows nothing of MCP: discovery, code, refresh.
//
//   node openid_client.mjs ISSUER CLIENT_ID RESOURCE SCOPE
//
// Prints the address that a browser has to visit, and as its last line what it got, as JSON.

import * as oauth from "openid-client";
import { listen } from "./callback.mjs";

const [issuer, clientId, resource, scope] = process.argv.slice(2);
const callback = await listen();

const found = {};
for (const algorithm of ["oauth2", "oidc"]) {
  const config = await oauth.discovery(new URL(issuer), clientId, undefined, oauth.None(), {
    algorithm,
    execute: [oauth.allowInsecureRequests],
  });
  found[algorithm] = config.serverMetadata().issuer;
}
const config = await oauth.discovery(new URL(issuer), clientId, undefined, oauth.None(), {
  algorithm: "oauth2",
  execute: [oauth.allowInsecureRequests],
});
const verifier = oauth.randomPKCECodeVerifier();
const state = oauth.randomState();
const url = oauth.buildAuthorizationUrl(config, {
  redirect_uri: callback.redirectUri,
  scope,
  resource,
  state,
  code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
  code_challenge_method: "S256",
});
const answer = await callback.open(url);
const tokens = await oauth.authorizationCodeGrant(
  config,
  answer,
  { pkceCodeVerifier: verifier, expectedState: state },
  { resource },
);
const refreshed = await oauth.refreshTokenGrant(config, tokens.refresh_token, { resource });
callback.close();
console.log(JSON.stringify({ found, iss: answer.searchParams.get("iss"), tokens, refreshed }));
