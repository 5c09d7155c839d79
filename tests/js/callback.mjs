// Listens where the browser brings the answer of the authorization server.
//
// `open(url)` prints the address on a line of its own, for whoever plays the person to visit, and waits for the browser.

import { createServer } from "node:http";

export async function listen() {
  let arrived;
  const server = createServer((request, response) => {
    response.end("You can close this window.");
    arrived(new URL(request.url, redirectUri));
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const redirectUri = `http://127.0.0.1:${server.address().port}/callback`;
  return {
    redirectUri,
    open(url) {
      const answer = new Promise((resolve) => (arrived = resolve));
      console.log(String(url));
      return answer;
    },
    close: () => server.close(),
  };
}
