"use strict";

import { pathToFileURL } from "url";

import { shout } from "words";

import { factorial } from "./lib/factorial.js";

export function handle(event, context, callback) {
  if (event["httpMethod"] !== "POST") {
    return { statusCode: 405, body: shout("use post"), headers: { "Content-Type": "text/plain" } };
  }
  const result = factorial(parseInt(event["body"]));
  console.log(`factorial is ${result}`);
  return { statusCode: 200, body: result.toString(), headers: { "Content-Type": ["text/plain"] } };
}

// Only when it is started by hand: production has no such package.
if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  import("@scaleway/serverless-functions").then((local) => local.serveHandler(handle, 8080));
}
