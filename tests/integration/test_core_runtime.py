"""The core runtime of an image gives the responses of the platform's gateway, on old and new interpreters."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.ambiguous_requests import AMBIGUOUS, NEXT, UNAMBIGUOUS
from tests.support.core_runtime import AGES, CoreRuntimeProcess, read_to_end, running_core_runtime
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.function_containers import running_containers
from tests.support.handler_cases import (
    BROKEN_MODULES,
    DOCUMENT_HANDLER,
    ECHO,
    FAILED,
    RAISED,
    RAISING_HANDLER,
    RETURNED_DOCUMENTS,
    RETURNED_VALUES,
    RETURNING_HANDLER,
    UNSERIALIZABLE,
)
from tests.support.waiting import wait_until

HANDLERS = {"returns": RETURNING_HANDLER, "raises": RAISING_HANDLER, "documents": DOCUMENT_HANDLER, "echo": ECHO}
FIXED = b"X-Request-Id: 1\r\nConnection: close\r\n"
CLOSING = b" HTTP/1.1\r\nHost: echo.test\r\n" + FIXED


@dataclass
class Pair:
    """The functions of one gateway, and a core runtime for each of them."""

    plane: DataPlaneProcess
    runtimes: dict[str, CoreRuntimeProcess]

    def assert_same(self, name: str, request: bytes) -> bytes:
        """Assert that both send the same bytes, save for the date, and return them."""
        got = without_date(self.runtimes[name].send_raw(request))
        assert got == without_date(self.plane.send_raw(request.replace(b"echo.test", name.encode() + b".test")))
        return got


def without_date(raw: bytes) -> bytes:
    return re.sub(rb"\r\ndate: [^\r]*", b"", raw)


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        for name, source in HANDLERS.items():
            running.deploy(name, source)
        yield running


@pytest.fixture(scope="module", params=[*AGES, pytest.param("container", marks=pytest.mark.long)])
def pair(
    plane: DataPlaneProcess, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    if request.param == "container":
        with running_containers(tmp_path_factory.mktemp("c"), HANDLERS) as runtimes:
            yield Pair(plane, runtimes)
        return
    with (
        running_core_runtime(RETURNING_HANDLER, name="returns", age=request.param) as returns,
        running_core_runtime(RAISING_HANDLER, name="raises", age=request.param) as raises,
        running_core_runtime(DOCUMENT_HANDLER, name="documents", age=request.param) as documents,
        running_core_runtime(ECHO, name="echo", age=request.param) as echo,
    ):
        yield Pair(plane, {"returns": returns, "raises": raises, "documents": documents, "echo": echo})


@pytest.mark.parametrize(("returned", "status", "body"), RETURNED_VALUES)
def test_returned_value_becomes_the_response(pair: Pair, returned: str, status: int, body: bytes) -> None:
    raw = pair.assert_same("returns", b"GET /" + returned.encode() + CLOSING + b"\r\n")
    assert raw.startswith(b"HTTP/1.1 %d " % status)
    assert raw.partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize("returned", ["odd-headers", "no-headers"])
def test_odd_headers_get_the_response_of_the_gateway(pair: Pair, returned: str) -> None:
    pair.assert_same("returns", b"GET /" + returned.encode() + CLOSING + b"\r\n")


@pytest.mark.parametrize("returned", UNSERIALIZABLE)
def test_unserializable_result_is_a_500(pair: Pair, returned: str) -> None:
    reply = pair.runtimes["returns"].call(f"/{returned}")
    assert reply.status == 500
    assert reply.body.decode().startswith(FAILED)


@pytest.mark.parametrize(("returned", "status", "body"), RETURNED_DOCUMENTS)
def test_members_of_a_returned_object_form_the_response(
    pair: Pair, returned: str, status: int, body: bytes
) -> None:
    raw = pair.assert_same("documents", b"GET /" + returned.encode() + CLOSING + b"\r\n")
    assert raw.startswith(b"HTTP/1.1 %d " % status)
    assert raw.partition(b"\r\n\r\n")[2] == body


@pytest.mark.parametrize(
    "returned", ["one-cors", "methods", "both-types", "one-type", "mixed-headers", "smuggled", "whole"]
)
def test_headers_of_a_handler_cannot_split_the_response(pair: Pair, returned: str) -> None:
    for method in (b"GET", b"HEAD", b"OPTIONS"):
        raw = pair.assert_same("documents", method + b" /" + returned.encode() + CLOSING + b"\r\n")
        assert raw.count(b"\r\n\r\n") == 1
        assert b"\r\nX-B:" not in raw


# SystemExit ends the core runtime: see test_core_runtime_life.py.
@pytest.mark.parametrize(("case", "message"), [one for one in RAISED if one[0] != "exit"])
def test_exception_becomes_a_500_with_its_message(pair: Pair, case: str, message: str) -> None:
    reply = pair.runtimes["raises"].call(f"/{case}")
    assert reply.status == 500
    assert reply.body.decode().startswith(FAILED + message)


@pytest.mark.parametrize("case", ["raise", "empty", "key", "base", "unprintable"])
def test_error_of_a_handler_gets_the_response_of_the_gateway(pair: Pair, case: str) -> None:
    pair.assert_same("raises", b"GET /" + case.encode() + CLOSING + b"\r\n")


REQUESTS = {
    "get": b"GET /",
    "path": b"GET /a%20b/%C3%A9?a=1&a=%202+3&b&=x&%zz=1",
    "fragment": b"GET /a#b?c=1",
    "double slash": b"GET //echo.test/x",
    "absolute form": b"GET http://echo.test/x?y=1",
    "absolute form of https": b"GET HTTPS://echo.test:443/x",
    "absolute form without a path": b"GET http://echo.test",
    "asterisk": b"OPTIONS *",
    "put": b"PUT /x",
    "mkcol": b"MKCOL /x",
    "favicon": b"GET /favicon.ico",
    "robots": b"GET /robots.txt?x=1",
    "favicon below a path": b"GET /x/favicon.ico",
    "health": b"GET /healthz",
    "invalid escape": b"GET /%zz",
    "not a path": b"GET nothing",
    "host with a user": b"GET http://a@b/",
    "unknown scheme": b"GET ftp://other.test/",
    "not ASCII": b"GET /\xc3\xa9",
    "delete character": b"GET /\x7f",
    "unknown method": b"BREW /",
    "lower-case method": b"get /",
}


@pytest.mark.parametrize("form", REQUESTS)
def test_request_gets_the_response_of_the_gateway(pair: Pair, form: str) -> None:
    pair.assert_same("echo", REQUESTS[form] + CLOSING + b"\r\n")


def test_connect_is_not_supported(pair: Pair) -> None:
    raw = pair.runtimes["echo"].send_raw(b"CONNECT echo.test:443" + CLOSING + b"\r\n")
    assert raw.startswith(b"HTTP/1.1 405 ")


HEADERS = {
    "repeated": b"x-thing: 1\r\nX-THING: 2\r\nx_odd: 3\r\n",
    "spaces": b"X-A: \t a b \t \r\nX-B:  \r\nX-C:\r\n",
    "not UTF-8": b"X-A: a\xffb\xc3\xa9\r\n",
    "forwarded": b"X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For:\r\nX-Forwarded-For: 192.0.2.2, 192.0.2.3\r\n",
    "proxy": b"Proxy: x\r\nProxy-Authorization: x\r\nX-Forwarded-Proto: https\r\nX-Envoy-External-Address: ::1\r\n",
    "hop by hop": b"Keep-Alive: 5\r\nTE: trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n",
    "unsupported trigger": b"SCW_TRIGGER_TYPE: mqtt\r\n",
    "supported trigger": b"SCW_TRIGGER_TYPE: http\r\n",
    "websocket": b"Upgrade: WebSocket\r\n",
    "too large a body": b"Content-Length: 6291457\r\n",
    "too large headers": b"X-A: " + b"a" * 70_000 + b"\r\n",
    "too many headers": b"X-A: a\r\n" * 10_000,
    "two thousand headers": b"X-A: a\r\n" * 2000,
}


@pytest.mark.parametrize("form", HEADERS)
def test_headers_get_the_response_of_the_gateway(pair: Pair, form: str) -> None:
    pair.assert_same("echo", b"GET /" + CLOSING + HEADERS[form] + b"\r\n")


BODIES = {
    "empty": b"",
    "text": "é".encode(),
    "base64": b"dGU=",
    "base64 in lines": b"YWJj\nZGVm",
    "almost base64": b"te",
    "not UTF-8": b"a\xff\xfeb\x00?\xe2\x82",
    "object": b'{"statusCode": 201}',
    "controls": bytes(range(128)),
    "large": b"<\xff\xc3\xa9?" * 30_000,
    "large base64": b"abcd" * 30_000,
}


@pytest.mark.parametrize("form", BODIES)
def test_body_gets_the_response_of_the_gateway(pair: Pair, form: str) -> None:
    body = BODIES[form]
    pair.assert_same("echo", b"POST /" + CLOSING + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    half = len(body) // 2
    chunks = b"".join(b"%X;x=y\r\n%b\r\n" % (len(part), part) for part in (body[:half], body[half:]) if part)
    pair.assert_same("echo", b"POST /" + CLOSING + b"Transfer-Encoding: Chunked\r\n\r\n" + chunks + b"0\r\n\r\n")


@pytest.mark.parametrize("form", AMBIGUOUS)
def test_ambiguous_request_is_rejected_and_closes_the_connection(pair: Pair, form: str) -> None:
    raw = pair.runtimes["echo"].send_raw(AMBIGUOUS[form] + NEXT)
    assert raw.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), raw
    assert raw.count(b"server: envoy") == 1
    assert b"/next" not in raw


@pytest.mark.parametrize("form", UNAMBIGUOUS)
def test_unambiguous_request_is_parsed_as_one(pair: Pair, form: str) -> None:
    data, body = UNAMBIGUOUS[form]
    runtime = pair.runtimes["echo"]
    with runtime.connect() as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in data + NEXT:
            peer.sendall(bytes([byte]))
        by_byte = read_to_end(peer)
    for raw in (runtime.send_raw(data + NEXT), by_byte):
        assert raw.count(b"HTTP/1.1 200 OK") == 2, raw
        assert json.dumps(body.decode()).encode() in raw
        assert b'"path":"/next"' in raw
        assert b"X-Late" not in raw


@pytest.mark.parametrize("age", AGES)
@pytest.mark.parametrize(("source", "message"), BROKEN_MODULES)
def test_import_error_is_reported_when_the_function_is_called(source: str, message: str, age: str) -> None:
    with running_core_runtime(source, age=age) as runtime:
        for _ in range(2):
            reply = runtime.call()
            assert reply.status == 500
            assert reply.body.decode().startswith(FAILED + message)
        assert message in runtime.output


def test_module_is_named_by_its_file_and_imports_from_the_code() -> None:
    files = {
        "handlers/calendar.py": (
            "import os, dependency, shared.names\n"
            "def show(event, context):\n"
            "    return {'body': [__name__, dependency.NAME, shared.names.NAME, dict(os.environ)]}\n"
        ),
        "shared/names.py": "NAME = 'shared'\n",
        "package/dependency.py": "NAME = 'dependency'\n",
    }
    settings = {"LEVEL": "info", "FNKIT_ANYTHING": "x"}
    with running_core_runtime(files, handler="handlers/calendar.show", settings=settings) as runtime:
        *names, environment = json.loads(runtime.call().body)
        assert names == ["calendar", "dependency", "shared"]
        assert environment["LEVEL"] == "info"
        assert environment["SCW_HANDLER_NAME"] == "show"
        assert [name for name in environment if name.startswith("FNKIT_")] == []


def test_output_and_requests_are_logged_in_order() -> None:
    source = "import sys\ndef handle(e, c):\n    print('out', e['path'])\n    print('err', file=sys.stderr)\n"
    with running_core_runtime(source) as runtime:
        for path in ("/a", "/b%0A%1B[2J"):
            runtime.call(path)
        escaped = "Function Triggered: /b\\n\\x1b[2J"
        wait_until(lambda: runtime.lines.count("err") == 2)
        assert runtime.lines[:4] == ["Function Triggered: /a", "out /a", "err", escaped]


def test_favicon_reaches_a_handler_that_wants_it() -> None:
    with running_core_runtime(ECHO, settings={"SCW_ALLOW_FAVICON": "1"}) as runtime:
        assert runtime.call("/favicon.ico").status == 200
        assert runtime.call("/robots.txt").status == 404


@pytest.mark.parametrize("age", AGES)
def test_body_at_the_size_limit_is_accepted_and_returned(age: str) -> None:
    source = "def handle(event, context):\n    return event['body'] * 2\n"
    with running_core_runtime(source, age=age, memory=1024) as runtime:
        body = b"x" * 6_291_456
        assert runtime.call(method="POST", body=body).body == body * 2
        chunked = b"POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        raw = runtime.send_raw(chunked + b"700000\r\n" + b"x" * 0x700000 + b"\r\n0\r\n\r\n")
        assert raw.startswith(b"HTTP/1.1 200 ")
        assert raw.count(b"x") >= 2 * 0x700000


@pytest.mark.parametrize("size", [32 * 1024 * 1024, 32 * 1024 * 1024 - 1])
def test_response_over_the_limit_is_sent_unchanged(size: int) -> None:
    source = "def handle(e, c):\n    return '{}' + ' ' * (int(e['path'][1:]) - 1)\n"
    with running_core_runtime(source, memory=1024) as runtime:
        reply = runtime.call(f"/{size}")
        assert (reply.status, len(reply.body)) == (200, size + 1)
        assert runtime.call("/1").body == b"{}"
