// Drives a Functions API with Scaleway's JavaScript SDK, unchanged. It stops with exit code 1 at the first expectation
// that does not hold. Its environment has the SCW_ variables; arguments: gateway address, base64 of an archive
// with handler.py, runtime, endpoint and URL of an SQS queue.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { request } from "node:http";
import { createClient, Errors } from "@scaleway/sdk-client";
import { Functionv1beta1 } from "@scaleway/sdk-function";

const [gateway, encoded, runtime, sqsEndpoint, queueUrl] = process.argv.slice(2);
const archive = Buffer.from(encoded, "base64");
const env = process.env;
const settings = {
  apiURL: env.SCW_API_URL,
  accessKey: env.SCW_ACCESS_KEY,
  secretKey: env.SCW_SECRET_KEY,
  defaultProjectId: env.SCW_DEFAULT_PROJECT_ID,
  defaultOrganizationId: env.SCW_DEFAULT_ORGANIZATION_ID,
  defaultRegion: env.SCW_DEFAULT_REGION,
};
const api = new Functionv1beta1.API(createClient(settings));
const unknown = randomUUID();

const step = async (name, act) => {
  try {
    const result = await act();
    console.log(`ok   ${name}`);
    return result;
  } catch (error) {
    console.log(`FAIL ${name}: ${error.stack}`);
    process.exit(1);
  }
};

const call = (host, headers = {}) =>
  new Promise((resolve, reject) => {
    const sent = request(gateway, { headers: { Host: host, ...headers } }, (answer) => {
      let body = "";
      answer.on("data", (part) => (body += part)).on("end", () => resolve({ status: answer.statusCode, body }));
    });
    sent.on("error", reject).end();
  });

const gone = async (ask) => {
  for (;;) {
    try {
      assert.equal((await ask()).status, "deleting");
    } catch (error) {
      if (error.status === 404) return error;
      throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};

await step("runtimes", async () => {
  const { runtimes, totalCount } = await api.listFunctionRuntimes();
  assert.equal(runtimes.length, totalCount);
  assert.ok(runtimes.some((one) => one.name === runtime && one.status === "available"));
});

const namespace = await step("a namespace is created and waited for", async () => {
  const made = await api.createNamespace({
    name: `js-${unknown.slice(0, 8)}`,
    environmentVariables: { SHARED: "all" },
    secretEnvironmentVariables: [{ key: "KEY", value: "hidden" }],
    tags: ["one"],
  });
  assert.equal(made.projectId, settings.defaultProjectId);
  const ready = await api.waitForNamespace({ namespaceId: made.id });
  assert.equal(ready.status, "ready");
  assert.ok(ready.createdAt instanceof Date && ready.updatedAt instanceof Date);
  assert.match(ready.secretEnvironmentVariables[0].hashedValue, /^\$argon2id\$/);
  return ready;
});

const made = await step("a function is created", async () => {
  const one = await api.createFunction({
    namespaceId: namespace.id,
    name: "hello",
    runtime,
    handler: "handler.handle",
    memoryLimit: 256,
    timeout: "30s",
    maxScale: 3,
    environmentVariables: { OWN: "mine" },
    secretEnvironmentVariables: [{ key: "SECRET", value: "s3cret" }],
  });
  assert.equal(one.status, "created");
  assert.equal(one.readyAt, undefined);
  return one;
});

await step("it is uploaded, deployed, waited for and called", async () => {
  const { url, headers } = await api.getFunctionUploadURL({ functionId: made.id, contentLength: archive.length });
  const sent = Object.fromEntries(Object.entries(headers).map(([name, values]) => [name, values[0]]));
  assert.equal((await fetch(url, { method: "PUT", body: archive, headers: sent })).status, 200);
  assert.equal((await api.deployFunction({ functionId: made.id })).status, "pending");
  const ready = await api.waitForFunction({ functionId: made.id });
  assert.equal(ready.status, "ready", ready.errorMessage);
  assert.ok(ready.readyAt instanceof Date);
  assert.deepEqual(await call(ready.domainName), { status: 200, body: "mine s3cret all hidden" });
  const download = await api.getFunctionDownloadURL({ functionId: made.id });
  assert.ok(Buffer.from(await (await fetch(download.url)).arrayBuffer()).equals(archive));
});

await step("an update is a new deploy", async () => {
  const changed = await api.updateFunction({
    functionId: made.id,
    environmentVariables: { OWN: "ours" },
    secretEnvironmentVariables: [{ key: "SECRET", value: "other" }],
  });
  assert.equal(changed.status, "pending");
  const ready = await api.waitForFunction({ functionId: made.id });
  assert.deepEqual([ready.status, ready.handler, ready.timeout], ["ready", "handler.handle", "30s"]);
  assert.equal((await call(ready.domainName)).body, "ours other all hidden");
});

await step("lists come in pages and whole", async () => {
  const names = Array.from({ length: 24 }, (_, number) => `more-${String(number).padStart(2, "0")}`);
  for (const name of names) {
    await api.createFunction({ namespaceId: namespace.id, name, runtime, memoryLimit: 128, maxScale: 1 });
  }
  const query = { namespaceId: namespace.id, orderBy: "name_asc" };
  const page = await api.listFunctions({ ...query, page: 3, pageSize: 10 });
  assert.deepEqual([page.totalCount, page.functions.length], [25, 5]);
  const all = await api.listFunctions({ ...query, pageSize: 10 }).all();
  assert.deepEqual(all.map((one) => one.name), ["hello", ...names]);
  const past = await api.listFunctions({ ...query, page: 9, pageSize: 10 });
  assert.deepEqual(past, { functions: [], totalCount: 25 });
  assert.deepEqual((await api.listNamespaces({ name: namespace.name }).all()).map((one) => one.id), [namespace.id]);
});

await step("crons", async () => {
  const cron = await api.createCron({ functionId: made.id, schedule: "*/5 * * * *", args: { deep: [1, { a: null }] }, name: "tick" });
  assert.equal((await api.waitForCron({ cronId: cron.id })).status, "ready");
  const changed = await api.updateCron({ cronId: cron.id, schedule: "1 2 * * 0" });
  assert.equal((await api.waitForCron({ cronId: cron.id })).schedule, "1 2 * * 0");
  assert.deepEqual([changed.name, changed.args], ["tick", { deep: [1, { a: null }] }]);
  assert.deepEqual((await api.listCrons({ functionId: made.id }).all()).map((one) => one.id), [cron.id]);
  await api.deleteCron({ cronId: cron.id });
  await gone(() => api.getCron({ cronId: cron.id }));
});

await step("a private function takes a token, and refuses a deleted one", async () => {
  await api.updateFunction({ functionId: made.id, privacy: "private" });
  const { domainName } = await api.waitForFunction({ functionId: made.id });
  assert.equal((await call(domainName)).status, 403);
  const expiresAt = new Date(Date.now() + 3_600_000);
  const token = await api.createToken({ functionId: made.id, description: "js", expiresAt });
  assert.match(token.token, /^ey/);
  assert.equal((await api.waitForToken({ tokenId: token.id })).status, "ready");
  assert.equal(Math.trunc(token.expiresAt / 1000), Math.trunc(expiresAt / 1000));
  assert.equal((await call(domainName, { "X-Auth-Token": token.token })).status, 200);
  const whole = await api.createToken({ namespaceId: namespace.id });
  assert.equal((await call(domainName, { "X-Auth-Token": whole.token })).status, 200);
  assert.deepEqual((await api.listTokens({ functionId: made.id }).all()).map((one) => one.id), [token.id]);
  await api.deleteToken({ tokenId: token.id });
  await gone(() => api.getToken({ tokenId: token.id }));
  while ((await call(domainName, { "X-Auth-Token": token.token })).status === 200);
});

await step("domains", async () => {
  const hostname = `js-${unknown.slice(0, 8)}.example.org`;
  const domain = await api.createDomain({ functionId: made.id, hostname });
  const ready = await api.waitForDomain({ domainId: domain.id });
  assert.deepEqual([ready.status, ready.url], ["ready", `https://${hostname}`]);
  assert.deepEqual((await api.listDomains({ functionId: made.id }).all()).map((one) => one.hostname), [hostname]);
  await api.deleteDomain({ domainId: domain.id });
  await gone(() => api.getDomain({ domainId: domain.id }));
});

await step("triggers", async () => {
  const sqs = { endpoint: sqsEndpoint, queueUrl, accessKey: "a", secretKey: "b" };
  const nats = { subject: "orders.*", mnqNatsAccountId: "A".repeat(56), mnqProjectId: settings.defaultProjectId, mnqRegion: "fr-par" };
  const scwSqs = { queue: "orders", mnqProjectId: settings.defaultProjectId, mnqRegion: "fr-par" };
  for (const [input, kind] of [
    [{ scwSqsConfig: scwSqs }, "scw_sqs"],
    [{ scwNatsConfig: nats }, "scw_nats"],
    [{ sqsConfig: sqs }, "sqs"],
  ]) {
    const trigger = await api.createTrigger({ functionId: made.id, name: `on-${kind.replace("_", "-")}`, ...input });
    assert.equal(trigger.inputType, kind);
    assert.equal((await api.waitForTrigger({ triggerId: trigger.id })).status, "ready");
    assert.ok(!JSON.stringify(trigger).includes('"secretKey":"b"'));
    const renamed = await api.updateTrigger({ triggerId: trigger.id, description: "told" });
    assert.equal(renamed.description, "told");
    for (const filter of [{ functionId: made.id }, { namespaceId: namespace.id }]) {
      assert.deepEqual((await api.listTriggers(filter).all()).map((one) => one.id), [trigger.id]);
    }
    await api.deleteTrigger({ triggerId: trigger.id });
    await gone(() => api.getTrigger({ triggerId: trigger.id }));
  }
});

await step("errors have a status, a message and a class", async () => {
  const refused = async (ask) => {
    const error = await ask().then(() => assert.fail("not refused"), (reason) => reason);
    assert.ok(error instanceof Errors.ScalewayError, String(error));
    return error;
  };
  const missing = await refused(() => api.getFunction({ functionId: unknown }));
  assert.deepEqual([missing.status, missing.rawMessage], [404, "Function was not found"]);
  const taken = await refused(() => api.createFunction({ namespaceId: namespace.id, name: "hello", runtime }));
  assert.deepEqual([taken.status, taken.rawMessage], [409, "Function already exist"]);
  const bad = await refused(() => api.createFunction({ namespaceId: namespace.id, name: "UPPER", runtime }));
  assert.equal(bad.status, 400);
  const stranger = new Functionv1beta1.API(createClient({ ...settings, secretKey: unknown }));
  const denied = await refused(() => stranger.listNamespaces());
  assert.ok(denied instanceof Errors.DeniedAuthenticationError, denied.name);
});

await step("everything is deleted with the namespace", async () => {
  assert.equal((await api.deleteNamespace({ namespaceId: namespace.id })).status, "deleting");
  const error = await gone(() => api.getNamespace({ namespaceId: namespace.id }));
  assert.equal(error.rawMessage, "Namespace was not found");
  assert.equal((await gone(() => api.getFunction({ functionId: made.id }))).status, 404);
});
