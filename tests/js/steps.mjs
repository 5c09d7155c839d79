// What the scripts of OAuth clients share: their task, the client's key, and the report of what each step got.
//
// The task is one JSON argument: { issuer, resource, scope, publicId, serviceId, serviceKey, deviceId, steps }. A script
// prints the addresses that a browser has to visit, and as its last line { step: result } for the steps it was asked for.

import { listen } from "./callback.mjs";

export const task = JSON.parse(process.argv[2]);
export const callback = await listen();

// A private JWK as WebCrypto has it, with its name.
export async function signingKey({ kid, alg, ...jwk }) {
  const algorithm = { name: "ECDSA", namedCurve: jwk.crv };
  return { kid, key: await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]) };
}

// In the order in which they were asked for, one after the other.
export async function run(steps) {
  const results = {};
  for (const name of task.steps) results[name] = await steps[name]();
  callback.close();
  console.log(JSON.stringify(results));
}
