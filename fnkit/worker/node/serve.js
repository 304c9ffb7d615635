// Serves one function in one process: loads its handler and answers one request at a time. The protocol is
// described in __init__.py beside this file. Node 18 and later, no packages.
//
// Everything that happens before the line on descriptor 4 happens ahead of use. It must leave nothing behind that a
// handler could find, and look at no file below the function's directory, because the code is mounted later.
"use strict";

const fs = require("node:fs");
const moduleApi = require("node:module");
const net = require("node:net");
const path = require("node:path");
const { Writable } = require("node:stream");
const { pathToFileURL } = require("node:url");
const { inspect } = require("node:util");

const LOOPBACK = "127.0.0.1";
const CONNECTION = 3;
const ASSIGNMENT = 4;
const LENGTH_PREFIX_SIZE = 4;
const READY = '{"ready": true';
const IMPORT_ERROR_MAX_CHARACTERS = 2000;
const HEAD_END = "\r\n\r\n";
const FRAMING = /(\r\nfnkit-request: \w+)?\r\ncontent-length: *(\d+)\r\n/i;
const REASON_PHRASES = { 200: "OK", 500: "Internal Server Error" };

const TEXT = "text/plain; charset=utf-8";
const HTML = "text/html; charset=utf-8";
const JSON_TYPE = "application/json; charset=utf-8";
const BYTES = "application/octet-stream";

// The messages of the real platform for a file that is missing or fails to load, and for a missing export.
const FILE_NOT_LOADED =
  "Function Handler does not exist, check that you provided the right HANDLER parameter " +
  "(path to your module with exported function to use)";
const EXPORT_MISSING = "Provided Handler does not exist, or does not export methods properly.";

const EXTENSIONS = [".js", ".mjs", ".cjs", `${path.sep}index.js`];
const MODULE_SYNTAX = /(?:^|[;}])\s*(?:import|export)\b(?!\s*\()/m;
const START_BYTES = 65536;
const END_BYTES = 4096;
const REHEARSALS = 3; // V8 compiles a regular expression when it is used for the second time
const SMALL_BODY_LENGTH = 16384;
const UNCAUGHT_EXCEPTION_STATUS = 1;

// Handlers may replace these, in tests of their own above all.
const { parse, stringify } = JSON;
const exit = process.exit.bind(process);
const writeSync = fs.writeSync;

// Output

// Write all bytes before returning. A full pipe whose other end is in non-blocking mode is waited for.
function writeFully(descriptor, bytes) {
  for (let offset = 0; offset < bytes.length; ) {
    try {
      offset += writeSync(descriptor, bytes, offset);
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

// process.stdout and process.stderr. What was written is in the pipe when write() returns, and so in the log before
// the response of its request; Node's own streams queue what a full pipe does not take, and lose it on exit.
class LogStream extends Writable {
  constructor(descriptor) {
    super({ decodeStrings: true, emitClose: false, autoDestroy: false });
    this.fd = descriptor;
    this._type = "pipe";
    this._isStdio = true;
  }

  _write(chunk, _encoding, done) {
    try {
      writeFully(this.fd, chunk);
    } catch {
      // Nobody reads the log any more, or the handler has closed it. That is no failure of its request.
    }
    done();
  }

  destroySoon() {}

  _destroy(_error, done) {
    done(); // as Node's own: the descriptor stays open
  }
}

function installLogStreams() {
  for (const [name, descriptor] of [["stdout", 1], ["stderr", 2]]) {
    const stream = new LogStream(descriptor);
    Object.defineProperty(process, name, { configurable: true, enumerable: true, get: () => stream });
  }
}

function logLine(text) {
  try {
    writeFully(2, Buffer.from(`${text}\n`));
  } catch {
    // as in LogStream
  }
}

// Return the stack of an error, its cause and its properties, without the frames of this file and those inside
// of Node.
function describeError(error) {
  const kept = [];
  let frames = [];
  for (const line of [...inspectSafely(error).split("\n"), ""]) {
    if (/^\s+at /.test(line)) {
      frames.push(line);
      continue;
    }
    if (frames.length > 0) {
      const opensProperties = frames[frames.length - 1].endsWith(" {");
      kept.push(...frames.filter(isUserFrame));
      if (opensProperties && !kept.at(-1)?.endsWith(" {")) kept.push(`${kept.pop() ?? ""} {`);
      frames = [];
    }
    kept.push(line);
  }
  return kept.join("\n").trimEnd();
}

function isUserFrame(frame) {
  return !frame.includes(__filename) && !/(?: at |\()(?:async )?node:internal\//.test(frame);
}

function inspectSafely(value) {
  try {
    return inspect(value);
  } catch {
    return "an error that cannot be shown";
  }
}

// Return the text that a client gets for a value that was thrown: its message, nothing if it has none.
function thrownMessage(error) {
  try {
    const message = error?.message;
    return typeof message === "string" ? message : message === undefined ? "" : String(message);
  } catch {
    return "";
  }
}

// Return the text that a client gets for the first argument of a callback.
function callbackMessage(error) {
  return error instanceof Error ? thrownMessage(error) : typeof error === "string" ? error : encodeSafely(error);
}

function encodeSafely(value) {
  try {
    return String(stringify(value));
  } catch (error) {
    return thrownMessage(error);
  }
}

// Loading

// Return the file of "dir/file" below the root, or undefined.
function resolveFile(root, location) {
  const base = path.join(root, location);
  return EXTENSIONS.map((extension) => base + extension).find(
    (file) => fs.statSync(file, { throwIfNoEntry: false })?.isFile(),
  );
}

// Return whether a file is to be loaded with require(): it is CommonJS, or probably so. That takes half the time of
// import(), and module.parent is set, as on the real platform, so that "if (!module.parent)" does not start a server.
function isCommonJs(file, root) {
  const extension = path.extname(file);
  if (extension !== ".js") return extension === ".cjs";
  const type = packageType(path.dirname(file), root);
  return type === "commonjs" || (type === undefined && !MODULE_SYNTAX.test(readEnds(file)));
}

// Return the "type" of the nearest package.json, up to the root, or undefined.
function packageType(directory, root) {
  for (let current = directory; current.length >= root.length; current = path.dirname(current)) {
    const file = path.join(current, "package.json");
    if (fs.existsSync(file)) {
      try {
        return parse(fs.readFileSync(file, "utf8"))?.type;
      } catch {
        return "module"; // import() reports what is wrong with it
      }
    }
    if (current === path.dirname(current)) break;
  }
  return undefined;
}

// Return the start and the end of a file, where the imports and exports of bundlers are.
function readEnds(file) {
  const descriptor = fs.openSync(file, "r");
  try {
    const { size } = fs.fstatSync(descriptor);
    const start = readPart(descriptor, 0, Math.min(size, START_BYTES));
    return start + readPart(descriptor, Math.max(START_BYTES, size - END_BYTES), size);
  } finally {
    fs.closeSync(descriptor);
  }
}

function readPart(descriptor, start, end) {
  if (start >= end) return "";
  const bytes = Buffer.allocUnsafe(end - start);
  return bytes.toString("latin1", 0, fs.readSync(descriptor, bytes, 0, bytes.length, start));
}

// Load a file as what it is: CommonJS, or an ES module with or without top-level await.
async function loadModule(file, root) {
  return isCommonJs(file, root) ? require(file) : import(pathToFileURL(file).href);
}

// A handler that cannot be called. `message` is what each request gets; `reason` is for the log.
class HandlerUnavailable extends Error {
  constructor(message, reason) {
    super(message);
    this.reason = reason;
  }
}

// Return the function that "dir/file.name" refers to, bound to the object that has it.
//
// Throws HandlerUnavailable.
async function loadHandler({ handler, root }) {
  const dot = handler.lastIndexOf(".");
  const [location, name] = [handler.slice(0, dot), handler.slice(dot + 1)];
  let exported;
  let owner;
  try {
    const file = resolveFile(root, location);
    if (file === undefined) throw new HandlerUnavailable(FILE_NOT_LOADED, `${path.join(root, location)}.js is missing.`);
    exported = await loadModule(file, root);
    // Where both have it, import() has loaded a CommonJS module, whose object is the default export.
    owner = exported?.[name] && exported[name] !== exported.default?.[name] ? exported : exported?.default;
  } catch (error) {
    if (error instanceof HandlerUnavailable) throw error;
    throw new HandlerUnavailable(FILE_NOT_LOADED, describeError(error));
  }
  if (typeof owner?.[name] !== "function") {
    throw new HandlerUnavailable(EXPORT_MISSING, `${location} does not export a function ${name}.`);
  }
  return owner[name].bind(owner);
}

// Requests and responses

// Splits what comes over the socket: the environment document, then requests. Bodies are joined once, when complete.
class MessageReader {
  constructor(onEnvironment, onRequest) {
    this.onEnvironment = onEnvironment;
    this.onRequest = onRequest;
    this.hasEnvironment = false;
    this.chunks = [];
    this.size = 0;
    this.needed = LENGTH_PREFIX_SIZE; // bytes without which looking at the chunks is of no use
  }

  feed(chunk) {
    this.chunks.push(chunk);
    this.size += chunk.length;
    while (this.size >= this.needed && this.size > 0) {
      const bytes = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks, this.size);
      const used = this.hasEnvironment ? this.readRequest(bytes) : this.readEnvironment(bytes);
      this.chunks = used < bytes.length ? [bytes.subarray(used)] : [];
      this.size = bytes.length - used;
      if (used === 0) break;
    }
  }

  skipEnvironment() {
    this.hasEnvironment = true;
    this.needed = 1;
  }

  readEnvironment(bytes) {
    const end = LENGTH_PREFIX_SIZE + bytes.readUInt32BE(0);
    this.needed = end;
    if (bytes.length < end) return 0;
    this.hasEnvironment = true;
    this.needed = 1;
    this.onEnvironment(bytes.toString("utf8", LENGTH_PREFIX_SIZE, end));
    return end;
  }

  readRequest(bytes) {
    const headEnd = bytes.indexOf(HEAD_END);
    if (headEnd < 0) {
      this.needed = bytes.length + 1;
      return 0;
    }
    const [, nonceLine = "", length = "0"] = FRAMING.exec(`${bytes.toString("latin1", 0, headEnd)}\r\n`) ?? [];
    const bodyStart = headEnd + HEAD_END.length;
    const end = bodyStart + Number(length);
    this.needed = end;
    if (bytes.length < end) return 0;
    this.needed = 1;
    this.onRequest(nonceLine, bytes.toString("utf8", bodyStart, end));
    return end;
  }
}

// Return the type and the body of a handler's value, as Express' send() would choose them.
//
// Throws what JSON.stringify throws, and TypeError for a value that has no JSON.
function encodeResult(result) {
  switch (typeof result) {
    case "undefined":
      return { type: "", body: "" };
    case "string":
      return { type: HTML, body: result };
    case "number":
      return { type: HTML, body: String(result) };
    case "function":
    case "symbol":
      throw new TypeError(`the handler returned a ${typeof result}, which has no JSON`);
    default:
      if (result === null) return { type: "", body: "" };
      if (ArrayBuffer.isView(result)) {
        return { type: BYTES, body: Buffer.from(result.buffer, result.byteOffset, result.byteLength) };
      }
      return { type: JSON_TYPE, body: stringify(result) ?? "" };
  }
}

// One request. The first of callback, return value and exception answers it.
class Request {
  constructor(connection, nonceLine) {
    this.connection = connection;
    this.nonceLine = nonceLine;
    this.isAnswered = false;
    this.callback = (error, result) => this.onCallback(error, result);
  }

  // Without an await of its own before the handler: what a handler queues must run when it would on the real platform.
  async run(handler, document) {
    try {
      const { event, context } = parse(document);
      const result = await handler(event, context, this.callback);
      if (!this.isAnswered) this.succeed(result);
    } catch (error) {
      logLine(describeError(error));
      if (!this.isAnswered) this.fail(thrownMessage(error));
    }
  }

  onCallback(error, result) {
    if (this.isAnswered) {
      logLine("The callback of a request was called after its response had been sent; the call has no effect.");
      if (error) logLine(describeError(error));
    } else if (error) {
      logLine(describeError(error));
      this.fail(callbackMessage(error));
    } else {
      try {
        this.succeed(result);
      } catch (failure) {
        logLine(describeError(failure));
        this.fail(thrownMessage(failure));
      }
    }
  }

  succeed(result) {
    const { type, body } = encodeResult(result);
    this.send(200, type, body);
  }

  fail(message) {
    this.send(500, TEXT, message);
  }

  send(status, type, body, onSent = undefined) {
    this.isAnswered = true;
    const isLast = onSent !== undefined;
    const isSmall = typeof body === "string" && body.length <= SMALL_BODY_LENGTH;
    const bytes = isSmall || typeof body !== "string" ? body : Buffer.from(body);
    const head =
      `HTTP/1.1 ${status} ${REASON_PHRASES[status]}${type && `\r\ncontent-type: ${type}`}` +
      `\r\ncontent-length: ${Buffer.byteLength(bytes)}${isLast ? "\r\nconnection: close" : ""}` +
      `${this.nonceLine}${HEAD_END}`;
    if (isSmall) {
      this.connection.write(head + bytes, onSent);
      return;
    }
    this.connection.cork();
    this.connection.write(head);
    this.connection.write(bytes, onSent);
    this.connection.uncork();
  }
}

// The life of the process

class Worker {
  constructor(connection) {
    this.connection = connection;
    this.settings = undefined;
    this.handler = undefined;
    this.failure = "";
    this.importError = "";
    this.request = undefined;
    this.isReady = false;
    this.started = undefined;
    this.reader = new MessageReader(
      (document) => {
        this.started = this.start(document);
      },
      (nonceLine, document) => this.answer(nonceLine, document),
    );
  }

  async start(document) {
    try {
      replaceEnvironment(parse(document));
      process.chdir(this.settings.home);
      if (this.settings.compile_cache) moduleApi.enableCompileCache?.(this.settings.compile_cache);
    } catch (error) {
      failStart(error);
    }
    try {
      this.handler = await loadHandler(this.settings);
    } catch (unavailable) {
      logLine(unavailable.reason);
      this.failure = unavailable.message;
      this.importError = unavailable.reason.slice(-IMPORT_ERROR_MAX_CHARACTERS);
    }
    this.isReady = true;
    this.connection.write(this.readyLine());
    if (this.settings.compile_cache) moduleApi.flushCompileCache?.();
  }

  readyLine() {
    return this.importError ? `${READY}, "import_error": ${stringify(this.importError)}}\n` : `${READY}}\n`;
  }

  answer(nonceLine, document) {
    if (!this.isReady) {
      void this.started.then(() => this.answer(nonceLine, document));
      return;
    }
    const request = new Request(this.connection, nonceLine);
    this.request = request;
    if (this.handler === undefined) {
      request.fail(this.failure);
    } else {
      void request.run(this.handler, document);
    }
  }

  // An exception that nothing caught, or a rejected promise that nothing handles. Node would end the process, which
  // leaves the request that runs without an answer; here it gets one first. Between requests it is only logged.
  onUncaughtException(error) {
    if (process.listenerCount("uncaughtException") > 1) return; // the handler has a listener of its own
    logLine(`Uncaught ${describeError(error)}`);
    if (this.request !== undefined && !this.request.isAnswered) {
      this.request.send(500, TEXT, thrownMessage(error), () => exit(UNCAUGHT_EXCEPTION_STATUS));
    }
  }
}

// Replace the environment. Assigning and deleting TZ also resets the time zone of Date.
function replaceEnvironment(environment) {
  for (const name of Object.keys(process.env)) {
    if (!Object.hasOwn(environment, name)) delete process.env[name];
  }
  Object.assign(process.env, environment);
  if (environment.NODE_PATH) moduleApi.Module._initPaths(); // require() has read it at the start
}

// Open the debugger of Node on a free port, and report the port. The connection stays open until the end of this
// process, which its other end notices; it keeps nothing alive.
function startDebugger({ port, key }, root) {
  const inspector = require("node:inspector");
  inspector.open(0, LOOPBACK);
  const own = Number(new URL(inspector.url()).port);
  const report = net.connect(port, LOOPBACK);
  report.on("error", (error) => logLine(`The debugger could not be reported: ${error.message}`));
  report.write(`${stringify({ key, port: own, root })}\n`);
  report.unref();
}

function failStart(error) {
  try {
    writeFully(CONNECTION, Buffer.from(`${stringify({ error: `${error?.name}: ${thrownMessage(error)}` })}\n`));
  } finally {
    exit(1);
  }
}

// Return the first line that comes over a descriptor, or undefined at end of file. Blocks.
function readLine(descriptor) {
  const bytes = Buffer.allocUnsafe(65536);
  for (let size = 0; size < bytes.length; ) {
    const count = fs.readSync(descriptor, bytes, size, bytes.length - size, null);
    if (count === 0) return undefined;
    size += count;
    if (bytes[size - 1] === 0x0a) return bytes.toString("utf8", 0, size);
  }
  throw new RangeError("the line on descriptor 4 is too long");
}

// Load a module of each kind, so that Node has loaded and compiled what that needs. This file is the module: there is
// no other at this time.
async function rehearseLoading() {
  const { dir, name } = path.parse(__filename);
  await import("data:text/javascript,export%20const%20handle%20=%20()%20=>%200");
  await import(`${pathToFileURL(__filename).href}?rehearsal`);
  exports.handle = async (event) => ({ body: event });
  let handler;
  for (let round = 0; round < REHEARSALS; round++) {
    handler = await loadHandler({ root: dir, handler: `${name}.handle` });
  }
  delete exports.handle;
  describeError(new Error("rehearsal"));
  replaceEnvironment({ NAME: "value" });
  replaceEnvironment({}); // its variables are not for the function, and removing each takes a while
  return handler;
}

// Answer a request that comes through the socket's stream, though not over the socket. The answer goes nowhere.
//
// Waits for ticks and promises alone: Node reads the socket only when they are done.
async function rehearseRequest(worker, handler) {
  const { connection, reader } = worker;
  const sink = { write: () => true, cork() {}, uncork() {} };
  const document = '{"event":{"path":"/","headers":{"Host":""},"body":"","isBase64Encoded":true},"context":{"n":128}}';
  const head = `POST / HTTP/1.1\r\nfnkit-request: 0\r\ncontent-length: ${document.length}${HEAD_END}`;
  const running = [];
  worker.reader = new MessageReader(
    (text) => parse(text),
    (nonceLine, text) => running.push(new Request(sink, nonceLine).run(handler, text)),
  );
  await new Promise(process.nextTick);
  connection.push(Buffer.from("\0\0\0\x02{}", "latin1"));
  for (let round = 0; round < REHEARSALS; round++) {
    connection.push(Buffer.from(head + document));
    connection.write("");
    await new Promise(process.nextTick);
  }
  await Promise.all(running);
  worker.reader = reader;
}

async function main() {
  try {
    process.on("uncaughtException", (error) => worker?.onUncaughtException(error));
    installLogStreams();
    const environment = stringify(process.env); // rehearsing clears it
    const handler = await rehearseLoading();
    const connection = new net.Socket({ fd: CONNECTION, readable: true, writable: true, allowHalfOpen: true });
    worker = new Worker(connection);
    // The platform has let go of this process. Timers that are pending do not keep it.
    for (const event of ["end", "close", "error"]) connection.on(event, () => exit(0));
    connection.on("data", (chunk) => worker.reader.feed(chunk));
    await rehearseRequest(worker, handler);
    const line = readLine(ASSIGNMENT);
    if (line === undefined) exit(0);
    fs.closeSync(ASSIGNMENT);
    const settings = parse(line);
    worker.settings = settings;
    if (settings.debugger) startDebugger(settings.debugger, settings.root);
    if (settings.has_environment) {
      worker.reader.skipEnvironment();
      await worker.start(environment);
    }
  } catch (error) {
    failStart(error);
  }
}

let worker;
if (!process.listenerCount("uncaughtException")) void main(); // not when rehearseLoading() loads this file again
