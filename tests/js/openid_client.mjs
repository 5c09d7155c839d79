// `openid-client`, a certified OAuth client that knows nothing of MCP. The task and the report: see steps.mjs.

import * as oauth from "openid-client";
import { callback, run, signingKey, task } from "./steps.mjs";

const { issuer, resource, scope } = task;
const discover = (clientId, authentication, algorithm = "oauth2") =>
  oauth.discovery(new URL(issuer), clientId, undefined, authentication, {
    algorithm,
    execute: [oauth.allowInsecureRequests],
  });
const anyone = await discover(task.publicId, oauth.None());
const service = await discover(
  task.serviceId,
  oauth.PrivateKeyJwt(await signingKey(task.serviceKey)),
);

async function signIn(config, { pushed = false, dpop } = {}) {
  const pkceCodeVerifier = oauth.randomPKCECodeVerifier();
  const expectedState = oauth.randomState();
  const parameters = {
    redirect_uri: callback.redirectUri,
    scope,
    resource,
    state: expectedState,
    code_challenge: await oauth.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: "S256",
    ...(dpop && { dpop_jkt: await dpop.calculateThumbprint() }),
  };
  const url = pushed
    ? await oauth.buildAuthorizationUrlWithPAR(config, parameters, { DPoP: dpop })
    : oauth.buildAuthorizationUrl(config, parameters);
  const answer = await callback.open(url);
  const checks = { pkceCodeVerifier, expectedState };
  const tokens = await oauth.authorizationCodeGrant(config, answer, checks, { resource }, { DPoP: dpop });
  const refreshed = await oauth.refreshTokenGrant(
    config,
    tokens.refresh_token,
    { resource },
    { DPoP: dpop },
  );
  return { sent: Object.fromEntries(url.searchParams), iss: answer.searchParams.get("iss"), tokens, refreshed };
}

const dpopHandle = async (config) => oauth.getDPoPHandle(config, await oauth.randomDPoPKeyPair("ES256"));

await run({
  async discovery() {
    const found = {};
    for (const algorithm of ["oauth2", "oidc"]) {
      const config = await discover(task.publicId, oauth.None(), algorithm);
      found[algorithm] = config.serverMetadata().issuer;
    }
    return found;
  },
  code: () => signIn(anyone),
  par: () => signIn(anyone, { pushed: true }),
  parWithKey: () => signIn(service, { pushed: true }),
  async dpop() {
    const dpop = await dpopHandle(anyone);
    return { jkt: await dpop.calculateThumbprint(), ...(await signIn(anyone, { dpop })) };
  },
  clientCredentials: () => oauth.clientCredentialsGrant(service, { resource, scope }),
  async introspection() {
    const { access_token: token } = await oauth.clientCredentialsGrant(service, { resource, scope });
    return oauth.tokenIntrospection(service, token);
  },
  async revocation() {
    const { tokens, refreshed } = await signIn(service);
    const told = [];
    for (const token of [refreshed.access_token, refreshed.refresh_token])
      told.push((await oauth.tokenIntrospection(service, token)).active);
    await oauth.tokenRevocation(service, refreshed.refresh_token);
    for (const token of [tokens.access_token, refreshed.access_token, refreshed.refresh_token])
      told.push((await oauth.tokenIntrospection(service, token)).active);
    return told;
  },
  async device() {
    const config = await discover(task.deviceId, oauth.None());
    const asked = await oauth.initiateDeviceAuthorization(config, { resource, scope });
    console.log(asked.verification_uri_complete);
    return { asked, tokens: await oauth.pollDeviceAuthorizationGrant(config, asked) };
  },
});
