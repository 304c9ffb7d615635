// A handler that does what a request asks it to: see tests/support/hostile_languages.py.
"use strict";

const childProcess = require("node:child_process");
const fs = require("node:fs");
const net = require("node:net");

let calls = 0;

function connect(path) {
  return new Promise((resolve, reject) => {
    const peer = net.connect(path);
    peer.on("connect", () => resolve(null));
    peer.on("error", reject);
  });
}

function links() {
  const found = [];
  for (const name of fs.readdirSync("/proc/self/fd")) {
    try {
      found.push(`${name} ${fs.readlinkSync(`/proc/self/fd/${name}`)}`);
    } catch {
      continue; // that of the listing
    }
  }
  return found;
}

function descriptors(count) {
  const opened = [];
  try {
    for (let number = 0; number < count; number++) opened.push(fs.openSync("/dev/null"));
  } catch {
    // the limit
  }
  opened.forEach((descriptor) => fs.closeSync(descriptor));
  return opened.length;
}

async function processes(count) {
  const started = [];
  for (let number = 0; number < count; number++) {
    try {
      const child = childProcess.spawn("sleep", ["300"], { stdio: "ignore" });
      child.on("error", () => {});
      if (child.pid === undefined) break;
      started.push(child);
    } catch {
      break;
    }
  }
  const ended = started.map((child) => new Promise((resolve) => child.on("exit", resolve)));
  started.forEach((child) => child.kill("SIGKILL"));
  await Promise.all(ended);
  return started.length;
}

function fill(path, size) {
  const block = Buffer.alloc(1 << 20, "x");
  const file = fs.openSync(path, "w");
  let written = 0;
  try {
    while (written < size) {
      if (fs.writeSync(file, block) < block.length) break;
      written++;
    }
  } catch {
    // the limit
  }
  fs.closeSync(file);
  return written;
}

function allocate() {
  const kept = [];
  for (;;) kept.push(Buffer.alloc(1 << 20, "x"));
}

function allocateObjects() {
  const kept = [];
  for (;;) kept.push({ number: kept.length, text: `text ${kept.length}` });
}

function print() {
  for (;;) console.log("x".repeat(60));
}

function loop() {
  for (;;);
}

const actions = {
  read: ({ path }) => fs.readFileSync(path, "latin1").slice(0, 65536),
  list: ({ path }) => fs.readdirSync(path).sort(),
  write: ({ path }) => fs.writeFileSync(path, "x"),
  make: ({ path }) => fs.mkdirSync(path),
  remove: ({ path }) => fs.unlinkSync(path),
  rename: ({ path }) => fs.renameSync(path, `${path}.renamed`),
  connect: ({ path }) => connect(path),
  kill: ({ count }) => process.kill(Number(count), 0) && null,
  environment: () => ({ ...process.env }),
  links,
  shell: ({ path }) => childProcess.spawnSync("sh", ["-c", path], { stdio: ["ignore", "pipe", "ignore"] }).stdout.toString(),
  descriptors: ({ count }) => descriptors(Number(count)),
  processes: ({ count }) => processes(Number(count)),
  fill: ({ path, count }) => fill(path, Number(count)),
  stack: () => new Error("stack").stack,
  hour: () => new Date(0).getHours(),
  exit: () => process.exit(3),
  crash: () => process.abort(),
  count: () => ++calls,
  allocate,
  objects: allocateObjects,
  print,
  loop,
  line: ({ path }) => console.log(`line of ${path}`),
};

exports.handle = async (event) => {
  const query = event.queryStringParameters ?? {};
  const action = event.path.slice(1);
  if (action === "fail") throw new Error("asked to fail");
  if (action === "huge") return "x".repeat(Number(query.count) << 20);
  try {
    return { ok: (await actions[action](query)) ?? null };
  } catch (error) {
    if (error.code === undefined) throw error;
    return { error: String(error.code) };
  }
};
