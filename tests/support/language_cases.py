"""What handlers in each language return or do, and the response that a client gets: one table for all languages.

Each case holds whatever runs the handler: a worker alone, whose response ``fnkit.contract.invocation.response``
maps, or a gateway. A language is a key of ``sources``; ``language_case`` has its file name and content types.
"""

from __future__ import annotations

from typing import Final

from fnkit.contract.invocation.response import HANDLER_MISSING
from tests.support.language_case import (
    HTML,
    JSON,
    PLAIN,
    Answer,
    LanguageCase,
    failure,
    node,
    php,
    python,
    returning,
)
from tests.support.native_cases import NATIVE_CASES

_NODE_FILE_MISSING: Final = failure(HANDLER_MISSING)
_NODE_EXPORT_MISSING: Final = failure("Provided Handler does not exist, or does not export methods properly.")
_PYTHON_MISSING: Final = failure(f"{HANDLER_MISSING}, check your function logs")
_NOT_UTF8: Final = failure("Malformed UTF-8 characters, possibly incorrectly encoded")

_VALUES: Final = (
    LanguageCase(
        "text", returning(node='"hello"', php='"hello"', python='"hello"'), Answer(200, b"hello", (HTML,))
    ),
    LanguageCase(
        "text outside of ASCII",
        returning(node='"é€"', php='"é€"', python='"é€"'),
        Answer(200, "é€".encode(), (HTML,)),
    ),
    LanguageCase("empty text", returning(node='""', php='""', python='""'), Answer(200, b"", (HTML,))),
    LanguageCase(
        "text that is a structure",
        returning(
            node='JSON.stringify({statusCode: 201, body: "x", headers: {"X-A": "1"}})',
            php='json_encode(["statusCode" => 201, "body" => "x", "headers" => ["X-A" => "1"]])',
            python='\'{"statusCode":201,"body":"x","headers":{"X-A":"1"}}\'',
        ),
        Answer(201, b"x", (HTML,), {"X-A": ("1",)}),
    ),
    LanguageCase(
        "text that is a JSON string",
        returning(node="'\"q\"'", php="'\"q\"'", python="'\"q\"'"),
        Answer(200, b"q", (HTML,)),
    ),
    LanguageCase(
        "null",
        returning(node="null", php="null", python="None"),
        Answer(200, b""),
        {"node": Answer(200, b"", ())},
    ),
    LanguageCase(
        "no return",
        {"node": node(""), "php": php(""), "python": python("pass")},
        Answer(200, b""),
        {"node": Answer(200, b"", ())},
    ),
    LanguageCase(
        "list",
        returning(node="[1, 2]", php="[1, 2]", python="[1, 2]"),
        Answer(200, b"[1,2]"),
        {"python": Answer(200, b"[1,2]\n")},
    ),
    LanguageCase(
        "empty list",
        returning(node="[]", php="[]", python="[]"),
        Answer(200, b"[]"),
        {"python": Answer(200, b"[]\n")},
    ),
    LanguageCase(
        "object without response members",
        returning(node='{message: "m"}', php='["message" => "m"]', python='{"message": "m"}'),
        Answer(200, b'{"message":"m"}'),
        {"python": Answer(200, b'{"message":"m"}\n')},
    ),
    LanguageCase(
        "number",
        returning(node="5", php="5", python="5"),
        Answer(200, b"5"),
        {"node": Answer(200, b"5", (HTML,)), "python": Answer(200, b"5\n")},
    ),
    LanguageCase(
        "boolean",
        returning(node="true", php="true", python="True"),
        Answer(200, b"true"),
        {"python": Answer(200, b"true\n")},
    ),
    LanguageCase(
        "bytes",
        returning(node="Buffer.from([1, 2, 255])"),
        Answer(200, b"\x01\x02\xff", ("application/octet-stream",)),
    ),
    LanguageCase("date", returning(node="new Date(0)"), Answer(200, b"1970-01-01T00:00:00.000Z")),
    LanguageCase("an Error, returned", returning(node='new Error("x")'), Answer(200, b"{}")),
    LanguageCase("big integer", returning(node="{body: 1n}"), failure("Do not know how to serialize a BigInt")),
    LanguageCase(
        "function", returning(node="() => 1"), failure("the handler returned a function, which has no JSON")
    ),
    LanguageCase("infinity", returning(php="[INF]"), failure("Inf and NaN cannot be JSON encoded")),
    LanguageCase(
        "JsonSerializable",
        {
            "php": "<?php\nclass Answer implements JsonSerializable {\n"
            "    public function jsonSerialize(): mixed { return ['statusCode' => 201, 'body' => 'b']; }\n}\n"
            "function handle() { return new Answer(); }\n"
        },
        Answer(201, b"b"),
    ),
    LanguageCase(
        "object of the language",
        returning(
            node='new (class { constructor() { this.statusCode = 201; this.body = "b"; } })()',
            php='(object) ["statusCode" => 201, "body" => "b"]',
        ),
        Answer(201, b"b"),
    ),
    LanguageCase("text that is not UTF-8", returning(php=r'"\xff"'), _NOT_UTF8),
    LanguageCase("body that is not UTF-8", returning(php=r'["body" => "\xff"]'), _NOT_UTF8),
)

_STRUCTURES: Final = (
    LanguageCase(
        "status alone",
        returning(node="{statusCode: 404}", php='["statusCode" => 404]', python='{"statusCode": 404}'),
        Answer(404, b'{"statusCode":404}'),
        {"python": Answer(404, b'{"statusCode":404}\n')},
    ),
    LanguageCase(
        "status and undefined body",
        returning(node="{statusCode: 202, body: undefined}"),
        Answer(202, b'{"statusCode":202}'),
    ),
    LanguageCase(
        "status and body",
        returning(
            node='{statusCode: 201, body: "b"}',
            php='["statusCode" => 201, "body" => "b"]',
            python='{"statusCode": 201, "body": "b"}',
        ),
        Answer(201, b"b"),
    ),
    LanguageCase(
        "other capitals",
        returning(
            node='{StatusCode: 201, BODY: "b"}',
            php='["StatusCode" => 201, "BODY" => "b"]',
            python='{"StatusCode": 201, "BODY": "b"}',
        ),
        Answer(201, b"b"),
    ),
    LanguageCase(
        "content type",
        returning(
            node='{statusCode: 201, body: "b", headers: {"Content-Type": "text/plain"}}',
            php='["body" => "b", "statusCode" => 201, "headers" => ["Content-Type" => "text/plain"]]',
            python='{"statusCode": 201, "body": "b", "headers": {"Content-Type": "text/plain"}}',
        ),
        Answer(201, b"b", ("text/plain",)),
    ),
    LanguageCase(
        "content type in lower case",
        returning(
            node='{statusCode: 201, body: "b", headers: {"content-type": "text/plain"}}',
            php='["body" => "b", "statusCode" => 201, "headers" => ["content-type" => "text/plain"]]',
            python='{"statusCode": 201, "body": "b", "headers": {"content-type": "text/plain"}}',
        ),
        Answer(201, b"b", (JSON, "text/plain")),
    ),
    LanguageCase(
        "content type as a list in an object",
        returning(
            php='["body" => "b", "headers" => json_decode(\'{"Content-Type":["text/plain"]}\')]',
            node='{body: "b", headers: {"Content-Type": ["text/plain"]}}',
            python='{"body": "b", "headers": {"Content-Type": ["text/plain"]}}',
        ),
        Answer(200, b"b", ("text/plain",)),
    ),
    LanguageCase(
        "headers that are a list",
        returning(
            node='{body: "b", headers: []}',
            php='["body" => "b", "headers" => []]',
            python='{"body": "b", "headers": []}',
        ),
        Answer(200, b"b"),
    ),
    LanguageCase(
        "headers that are null",
        returning(
            node='{body: "<p>x</p>", headers: null}',
            php='["body" => "<p>x</p>", "headers" => null]',
            python='{"body": "<p>x</p>", "headers": None}',
        ),
        Answer(200, b"<p>x</p>", ("text/html; charset=utf-8",)),
    ),
    LanguageCase(
        "repeated header",
        returning(
            node='{body: "b", headers: {"Set-Cookie": ["a=1", "b=2"]}}',
            php='["body" => "b", "headers" => ["Set-Cookie" => ["a=1", "b=2"]]]',
            python='{"body": "b", "headers": {"Set-Cookie": ["a=1", "b=2"]}}',
        ),
        Answer(200, b"b", headers={"Set-Cookie": ("a=1", "b=2")}),
    ),
    LanguageCase(
        "header that is a number",
        returning(
            node='{body: "b", headers: {C: 4}}',
            php='["body" => "b", "headers" => ["C" => 4]]',
            python='{"body": "b", "headers": {"C": 4}}',
        ),
        Answer(200, b"b", headers={"C": ("",)}),
    ),
    LanguageCase(
        "own origin",
        returning(
            node='{body: "b", headers: {"Access-Control-Allow-Origin": "https://a.example"}}',
            php='["body" => "b", "headers" => ["Access-Control-Allow-Origin" => "https://a.example"]]',
            python='{"body": "b", "headers": {"Access-Control-Allow-Origin": "https://a.example"}}',
        ),
        Answer(200, b"b", headers={"Access-Control-Allow-Origin": ("https://a.example",)}),
    ),
    LanguageCase(
        "default origin",
        returning(node='"b"', php='"b"', python='"b"'),
        Answer(200, b"b", (HTML,), {"Access-Control-Allow-Origin": ("*",)}),
    ),
    LanguageCase(
        "body that is an object",
        returning(node="{body: {a: 1}}", php='["body" => ["a" => 1]]', python='{"body": {"a": 1}}'),
        Answer(200, b'{"a":1}'),
    ),
    LanguageCase(
        "body that is a number",
        returning(node="{body: 120}", php='["body" => 120]', python='{"body": 120}'),
        Answer(200, b"120"),
    ),
    LanguageCase(
        "body that is null",
        returning(node="{body: null}", php='["body" => null]', python='{"body": None}'),
        Answer(200, b""),
    ),
    LanguageCase(
        "status that is a text",
        returning(
            node='{statusCode: "201", body: "b"}',
            php='["statusCode" => "201", "body" => "b"]',
            python='{"statusCode": "201", "body": "b"}',
        ),
        Answer(200, b"b"),
    ),
    LanguageCase(
        "base64",
        returning(
            node='{body: "/9j/AA==", isBase64Encoded: true, headers: {"Content-Type": "image/jpeg"}}',
            php='["body" => "/9j/AA==", "isBase64Encoded" => true, "headers" => ["Content-Type" => "image/jpeg"]]',
            python='{"body": "/9j/AA==", "isBase64Encoded": True, "headers": {"Content-Type": "image/jpeg"}}',
        ),
        Answer(200, b"\xff\xd8\xff\x00", ("image/jpeg",)),
    ),
    LanguageCase(
        "base64 that is none",
        returning(
            node='{body: "***", isBase64Encoded: true}',
            php='["body" => "***", "isBase64Encoded" => true]',
            python='{"body": "***", "isBase64Encoded": True}',
        ),
        Answer(500, b"illegal base64 data at input byte 0\n", (PLAIN,)),
    ),
    LanguageCase(
        "own 500",
        returning(
            node='{statusCode: 500, body: "own"}',
            php='["statusCode" => 500, "body" => "own"]',
            python='{"statusCode": 500, "body": "own"}',
        ),
        Answer(500, b"own"),
    ),
    LanguageCase(
        "204 with a body",
        returning(
            node='{statusCode: 204, body: "b"}',
            php='["statusCode" => 204, "body" => "b"]',
            python='{"statusCode": 204, "body": "b"}',
        ),
        Answer(204, b""),
    ),
    LanguageCase("204 alone", returning(node="{statusCode: 204}", php='["statusCode" => 204]'), Answer(204, b"")),
    LanguageCase(
        "304 with a body",
        returning(node='{statusCode: 304, body: "b"}', php='["statusCode" => 304, "body" => "b"]'),
        Answer(304, b""),
    ),
    LanguageCase(
        "status 0",
        returning(node='{statusCode: 0, body: "b"}', php='["statusCode" => 0, "body" => "b"]'),
        Answer(500, b"invalid WriteHeader code 0\n", (PLAIN,)),
    ),
    LanguageCase(
        "redirect",
        returning(
            node='{statusCode: 302, body: "", headers: {Location: "/x"}}',
            php='["statusCode" => 302, "body" => "", "headers" => ["Location" => "/x"]]',
        ),
        Answer(302, b"", headers={"Location": ("/x",)}),
    ),
    LanguageCase(
        "bytes of the request",
        returning(node="{body: event.body}", php='["body" => $event["body"]]', python='{"body": event["body"]}'),
        Answer(200, "\ufffd\0\ufffd".encode()),
        method="POST",
        body=b"\xff\x00\xd8",
    ),
    LanguageCase(
        "method and context",
        returning(
            node="{body: `${event.httpMethod} ${typeof context.memoryLimitInMb} ${context.functionVersion}`}",
            php='["body" => "{$event["httpMethod"]} " . gettype($context["memoryLimitInMb"]) . '
            '" {$context["functionVersion"]}"]',
        ),
        Answer(200, b"PUT number "),
        {"php": Answer(200, b"PUT integer ")},
        method="PUT",
    ),
)

_FAILURES: Final = (
    LanguageCase(
        "thrown",
        {
            "node": node('throw new Error("boom");'),
            "php": php('throw new RuntimeException("boom");'),
            "python": python('raise ValueError("boom")'),
        },
        failure("boom"),
    ),
    LanguageCase(
        "error of the language",
        {"node": node("null.x;"), "php": php("return 1 % 0;"), "python": python("return 1 % 0")},
        failure("Cannot read properties of null (reading 'x')"),
        {"php": failure("Modulo by zero"), "python": failure("integer modulo by zero")},
    ),
    LanguageCase(
        "thrown without a message",
        {"node": node("throw new Error();"), "php": php("throw new RuntimeException();")},
        failure(""),
        {"php": failure("RuntimeException")},
    ),
    LanguageCase("thrown text", {"node": node('throw "boom";')}, failure("")),
    LanguageCase("thrown null", {"node": node("throw null;")}, failure("")),
    LanguageCase("rejected", {"node": node('return Promise.reject(new Error("boom"));')}, failure("boom")),
    LanguageCase("rejected with an object", {"node": node("return Promise.reject({code: 1});")}, failure("")),
    LanguageCase(
        "cycle",
        {"node": node("const a = {}; a.own = a; return a;")},
        failure(
            "Converting circular structure to JSON\n    --> starting at object with constructor 'Object'\n"
            "    --- property 'own' closes the circle"
        ),
    ),
    LanguageCase(
        "exit",
        {"php": php('echo "x"; exit(3);')},
        failure("the handler ended the process with exit or die"),
        ends_process=("php",),
        exit_status=3,
    ),
    LanguageCase(
        "die with a text",
        {"php": php('die("bye");')},
        failure("the handler ended the process with exit or die"),
        ends_process=("php",),
    ),
    LanguageCase(
        "fatal error",
        {"php": php('ini_set("memory_limit", "8M"); return str_repeat("x", 100000000);')},
        failure("Allowed memory size of 8388608 bytes exhausted (tried to allocate 100003840 bytes)"),
        ends_process=("php",),
        exit_status=255,
    ),
    LanguageCase(
        "too few arguments",
        {"php": "<?php\nfunction handle($a, $b, $c) {}\n"},
        failure("Too few arguments to function handle(), 2 passed and exactly 3 expected"),
    ),
    LanguageCase(
        "no such function",
        {"node": "exports.other = () => 1;\n", "php": "<?php\nfunction other() {}\n", "python": "other = 5\n"},
        _NODE_FILE_MISSING,
        {"node": _NODE_EXPORT_MISSING, "python": _PYTHON_MISSING},
    ),
    LanguageCase(
        "not a function",
        {"node": "exports.handle = 5;\n", "php": "<?php\n$handle = 5;\n", "python": "handle = 5\n"},
        _NODE_FILE_MISSING,
        {"node": _NODE_EXPORT_MISSING, "python": _PYTHON_MISSING},
    ),
    LanguageCase(
        "syntax error",
        {"node": "const = 1;\n", "php": "<?php\nfunction handle( {\n"},
        _NODE_FILE_MISSING,
    ),
    LanguageCase(
        "thrown at load",
        {"node": 'throw new Error("at load");\n', "php": '<?php\nthrow new Exception("at load");\n'},
        _NODE_FILE_MISSING,
    ),
    LanguageCase(
        "missing dependency",
        {"node": 'require("no-such-package");\n', "php": '<?php\nrequire __DIR__ . "/no-such-file.php";\n'},
        _NODE_FILE_MISSING,
    ),
    LanguageCase(
        "fatal error at load",
        {"php": "<?php\nfunction handle() {}\ninterface A { function f(); }\nclass B implements A {}\n"},
        _NODE_FILE_MISSING,
    ),
)

_ASYNCHRONOUS: Final = (
    LanguageCase(
        "async function",
        {"node": 'exports.handle = async () => ({statusCode: 201, body: "b"});\n'},
        Answer(201, b"b"),
    ),
    LanguageCase(
        "thenable",
        returning(node='{then(resolve) { setTimeout(resolve, 1, {statusCode: 201, body: "b"}); }}'),
        Answer(201, b"b"),
    ),
    LanguageCase(
        "callback",
        {"node": node('callback(undefined, {statusCode: 201, body: "cb"});')},
        Answer(201, b"cb"),
    ),
    LanguageCase("callback with null", {"node": node("callback(null, null);")}, Answer(200, b"", ())),
    LanguageCase(
        "callback and return",
        {"node": node('callback(undefined, "first"); return "second";')},
        Answer(200, b"first", (HTML,)),
    ),
    LanguageCase(
        "callback twice",
        {"node": node('callback(undefined, "first"); callback(undefined, "second");')},
        Answer(200, b"first", (HTML,)),
    ),
    LanguageCase(
        "callback, then thrown",
        {"node": node('callback(undefined, "first"); throw new Error("second");')},
        Answer(200, b"first", (HTML,)),
    ),
    LanguageCase(
        "callback in the next tick",
        {"node": node('process.nextTick(callback, undefined, "tick");')},
        Answer(200, b"tick", (HTML,)),
    ),
    LanguageCase("callback with an Error", {"node": node('callback(new Error("bad"));')}, failure("bad")),
    LanguageCase("callback with a text as error", {"node": node('callback("bad text");')}, failure("bad text")),
    LanguageCase("callback with an object as error", {"node": node("callback({code: 1});")}, failure('{"code":1}')),
    LanguageCase(
        "callback with what has no JSON",
        {"node": node("callback(null, {body: 1n});")},
        failure("Do not know how to serialize a BigInt"),
    ),
    LanguageCase(
        "late callback of a synchronous handler",
        {"node": node('setTimeout(callback, 5, undefined, "late");')},
        Answer(200, b"", ()),
    ),
    LanguageCase(
        "callback before the promise",
        {
            "node": node(
                'return new Promise((resolve) => setTimeout(() => { callback(null, "late"); resolve(1); }, 5));'
            )
        },
        Answer(200, b"late", (HTML,)),
    ),
    LanguageCase(
        "callback of a promise that never settles",
        {"node": node('setTimeout(callback, 5, undefined, "late"); return new Promise(() => {});')},
        Answer(200, b"late", (HTML,)),
    ),
    LanguageCase(
        "uncaught exception",
        {"node": node('return new Promise(() => setTimeout(() => { throw new Error("in a timer"); }, 5));')},
        failure("in a timer"),
        ends_process=("node",),
        exit_status=1,
    ),
    LanguageCase(
        "unhandled rejection",
        {"node": node('Promise.reject(new Error("unhandled")); return new Promise(() => {});')},
        failure("unhandled"),
        ends_process=("node",),
        exit_status=1,
    ),
    LanguageCase(
        "this",
        {
            "node": 'exports.state = "own";\nexports.handle = function () { return this.state; };\n',
        },
        Answer(200, b"own", (HTML,)),
    ),
)

_MODULES: Final = (
    LanguageCase("ES module", {"node": 'export function handle() { return "m"; }\n'}, Answer(200, b"m", (HTML,))),
    LanguageCase(
        "ES module with an import",
        {"node": 'import { basename } from "node:path";\nexport const handle = () => basename("/a/m");\n'},
        Answer(200, b"m", (HTML,)),
    ),
    LanguageCase(
        "ES module with a list of exports",
        {"node": 'const answer = "m"\nfunction handle() { return answer; }\nexport { handle };\n'},
        Answer(200, b"m", (HTML,)),
    ),
    LanguageCase(
        "ES module with top-level await",
        {"node": 'const answer = await Promise.resolve("m");\nexport const handle = async () => answer;\n'},
        Answer(200, b"m", (HTML,)),
    ),
    LanguageCase(
        "ES module with a default export",
        {"node": 'export default { answer: "m", handle() { return this.answer; } };\n'},
        Answer(200, b"m", (HTML,)),
    ),
    LanguageCase(
        "this in an ES module",
        {"node": 'export const state = "own";\nexport function handle() { return this.state; }\n'},
        Answer(200, b"own", (HTML,)),
    ),
    LanguageCase(
        "compiled default export",
        {"node": 'exports.default = { handle: () => "m" };\n'},
        Answer(200, b"m", (HTML,)),
    ),
)

CASES: Final = (*_VALUES, *_STRUCTURES, *_FAILURES, *_ASYNCHRONOUS, *_MODULES, *NATIVE_CASES)
"""All cases. Their names are unique."""


def cases_of(language: str) -> list[LanguageCase]:
    """Return the cases that a language has."""
    return [case for case in CASES if language in case.sources]
