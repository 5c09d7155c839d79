// `oauth4webapi`, which sends one request at a time and checks each answer against the specification, with everything it
// checks switched on. The task and the report: see steps.mjs.

import * as oauth from "oauth4webapi";
import { callback, run, signingKey, task } from "./steps.mjs";

const { resource, scope } = task;
const issuer = new URL(task.issuer);
// Everything here is on loopback; production is TLS alone.
const plain = { [oauth.allowInsecureRequests]: true };
const anyone = { client: { client_id: task.publicId }, proof: oauth.None() };
// Introspection is answered with a signed statement.
const service = {
  client: { client_id: task.serviceId, introspection_signed_response_alg: "ES256" },
  proof: oauth.PrivateKeyJwt(await signingKey(task.serviceKey)),
};
const discover = async (algorithm) =>
  oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...plain }));
const server = await discover("oauth2");

async function signIn({ client, proof }, { pushed = false, dpop } = {}) {
  const options = { ...plain, DPoP: dpop };
  const verifier = oauth.generateRandomCodeVerifier();
  const state = oauth.generateRandomState();
  const parameters = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri: callback.redirectUri,
    response_type: "code",
    scope,
    resource,
    state,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
  });
  const url = new URL(server.authorization_endpoint);
  url.search = parameters;
  if (pushed) {
    const response = await oauth.pushedAuthorizationRequest(server, client, proof, parameters, options);
    const { request_uri } = await oauth.processPushedAuthorizationResponse(server, client, response);
    url.search = new URLSearchParams({ client_id: client.client_id, request_uri });
  }
  const arrived = await callback.open(url);
  const answer = oauth.validateAuthResponse(server, client, arrived, state);
  const tokens = await oauth.processAuthorizationCodeResponse(
    server,
    client,
    await oauth.authorizationCodeGrantRequest(
      server,
      client,
      proof,
      answer,
      callback.redirectUri,
      verifier,
      { ...options, additionalParameters: { resource } },
    ),
  );
  const refreshed = await oauth.processRefreshTokenResponse(
    server,
    client,
    await oauth.refreshTokenGrantRequest(server, client, proof, tokens.refresh_token, options),
  );
  return { sent: Object.fromEntries(url.searchParams), iss: answer.get("iss"), tokens, refreshed };
}

async function ownToken() {
  const { client, proof } = service;
  const parameters = new URLSearchParams({ resource, scope });
  const response = await oauth.clientCredentialsGrantRequest(server, client, proof, parameters, plain);
  return oauth.processClientCredentialsResponse(server, client, response);
}

async function introspect(token) {
  const { client, proof } = service;
  const response = await oauth.introspectionRequest(server, client, proof, token, plain);
  const told = await oauth.processIntrospectionResponse(server, client, response);
  await oauth.validateApplicationLevelSignature(server, response, plain);
  return told;
}

await run({
  async discovery() {
    const found = {};
    for (const algorithm of ["oauth2", "oidc"]) found[algorithm] = (await discover(algorithm)).issuer;
    return found;
  },
  code: () => signIn(anyone),
  par: () => signIn(anyone, { pushed: true }),
  parWithKey: () => signIn(service, { pushed: true }),
  async dpop() {
    const dpop = oauth.DPoP(anyone.client, await oauth.generateKeyPair("ES256"));
    return { jkt: await dpop.calculateThumbprint(), ...(await signIn(anyone, { dpop })) };
  },
  clientCredentials: ownToken,
  introspection: async () => introspect((await ownToken()).access_token),
  async revocation() {
    const { client, proof } = service;
    const { tokens, refreshed } = await signIn(service);
    const told = [];
    for (const token of [refreshed.access_token, refreshed.refresh_token])
      told.push((await introspect(token)).active);
    const response = await oauth.revocationRequest(server, client, proof, refreshed.refresh_token, plain);
    await oauth.processRevocationResponse(response);
    for (const token of [tokens.access_token, refreshed.access_token, refreshed.refresh_token])
      told.push((await introspect(token)).active);
    return told;
  },
  async device() {
    const client = { client_id: task.deviceId };
    const asked = await oauth.processDeviceAuthorizationResponse(
      server,
      client,
      await oauth.deviceAuthorizationRequest(server, client, oauth.None(), { resource, scope }, plain),
    );
    console.log(asked.verification_uri_complete);
    for (let polls = 0; polls < 10; polls++) {
      await new Promise((resolve) => setTimeout(resolve, asked.interval * 1000));
      const response = await oauth.deviceCodeGrantRequest(server, client, oauth.None(), asked.device_code, plain);
      try {
        return { asked, tokens: await oauth.processDeviceCodeResponse(server, client, response) };
      } catch (error) {
        if (error.error !== "authorization_pending") throw error;
      }
    }
    throw new Error("nobody answered");
  },
});
