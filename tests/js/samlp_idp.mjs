// A SAML identity provider made of `samlp` (Auth0's). Prints its port, and then serves until it is killed.
//
//   node samlp_idp.mjs '{"entityId": ..., "key": PEM, "cert": PEM, "signingCert": PEM?, "encryptionCert": PEM?, ...}'
//
// /metadata             its metadata
// /sso?mode=MODE        signs somebody in at once: `assertion`, `response` or `both` say what is signed, `encrypted`
//                       encrypts the signed assertion, `refused` answers with a status. `who` names the person.

import { createRequire } from "node:module";
import { createServer } from "node:http";

const samlp = createRequire(import.meta.url)("samlp");
const given = JSON.parse(process.argv[2]);
const claims = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims";

function mapper(user) {
  return {
    getClaims: () => ({
      [`${claims}/emailaddress`]: user.email,
      [`${claims}/name`]: user.name,
      "http://schemas.xmlsoap.org/claims/Group": user.groups,
    }),
    getNameIdentifier: () => ({
      nameIdentifier: user.id,
      nameIdentifierFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    }),
  };
}
mapper.prototype.metadata = [];

function options(mode, acs) {
  return {
    issuer: given.entityId,
    key: given.key,
    cert: given.cert,
    signingCert: given.signingCert,
    destination: acs,
    recipient: acs,
    profileMapper: mapper,
    sessionIndex: "_session_1",
    lifetimeInSeconds: 300,
    signAssertion: mode !== "response",
    signResponse: mode === "response" || mode === "both",
    ...(mode === "encrypted" && {
      encryptionCert: given.encryptionCert,
      encryptionPublicKey: given.encryptionPublicKey,
    }),
    getPostURL: (audience, request, req, done) => done(null, acs),
  };
}

function sso(request, response) {
  samlp.parseRequest(request, {}, (error, asked) => {
    if (error) return response.send(400, String(error));
    const { mode, who } = request.query;
    const acs = asked.assertionConsumerServiceURL;
    request.user = given.people[who ?? "ada"];
    if (mode !== "refused") return samlp.auth(options(mode, acs))(request, response, response.fail);
    const code = "urn:oasis:names:tc:SAML:2.0:status:Responder";
    samlp.sendError({
      ...options(mode, acs),
      inResponseTo: asked.id,
      RelayState: request.query.RelayState,
      error: { code, description: "not today" },
      getPostURL: (req, done) => done(null, acs),
    })(request, response, response.fail);
  });
}

// `samlp` is made for Express, of which it needs this much.
const server = createServer((request, response) => {
  const url = new URL(request.url, `http://${request.headers.host}`);
  request.query = Object.fromEntries(url.searchParams);
  request.protocol = "http";
  request.originalUrl = request.url;
  response.set = (name, value) => response.setHeader(name, value);
  response.send = (...parts) => {
    if (parts.length > 1) response.statusCode = parts.shift();
    response.end(String(parts[0]));
  };
  response.fail = (error) => response.send(400, String(error));
  if (url.pathname === "/metadata") {
    const places = { redirectEndpointPath: "/sso", postEndpointPath: "/sso" };
    return samlp.metadata({ issuer: given.entityId, cert: given.cert, profileMapper: mapper, ...places })(
      request,
      response,
    );
  }
  if (url.pathname === "/sso") return sso(request, response);
  response.send(404, "nothing here");
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
