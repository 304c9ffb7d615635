"""The gateway's HTTP: hosts and paths, what it refuses, connections that misbehave."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.support.data_plane import SECRET_KEY, DataPlaneProcess, running_data_plane
from tests.support.handler_latch import handler_latch
from tests.support.metrics import wait_for_counts

ECHO = "def handle(event, context):\n    return event['path'] + '|' + event['body']\n"


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.deploy("echo", ECHO, hosts=("echo.test", "www.shop.example"))
        running.deploy("icons", ECHO, environment={"SCW_ALLOW_FAVICON": "1"})
        running.deploy("secret", "def handle(e, c):\n    return {'body': e['headers']}\n", privacy="private")
        yield running


@pytest.mark.parametrize("host", ["echo.test", "echo.test:8481", "ECHO.Test", "www.shop.example", "echo.test."])
def test_a_host_in_any_spelling_and_with_any_port_is_found(plane: DataPlaneProcess, host: str) -> None:
    assert plane.call("echo", "/x", host=host).body == b"/x|"


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("/fr-par/tests/echo", b"/|"),
        ("/fr-par/tests/echo/", b"/|"),
        ("/fr-par/tests/echo/a/b?c=d", b"/a/b|"),
    ],
)
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:80", "[::1]:80"])
def test_the_path_form_answers_under_the_gateways_own_address(
    plane: DataPlaneProcess, path: str, seen: bytes, host: str
) -> None:
    assert plane.call("echo", path, host=host).body == seen


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("nobody.test", "/"),
        ("x.test", "/fr-par/tests/echo"),
    ],
)
def test_what_nobody_answers_for_is_a_404_with_a_message(plane: DataPlaneProcess, host: str, path: str) -> None:
    reply = plane.call("echo", path, host=host)
    assert reply.status == 404
    assert reply.json() == {"message": f"no function answers for {host}"}


@pytest.mark.parametrize("path", ["/", "/fr-par/tests/nobody", "/nl-ams/tests/echo/"])
def test_a_path_that_leads_to_nobody_is_named_with_the_form_it_should_have(
    plane: DataPlaneProcess, path: str
) -> None:
    reply = plane.call("echo", path, host="127.0.0.1")
    form = "functions are at /<region>/<namespace>/<function>/"
    assert (reply.status, reply.json()) == (404, {"message": f"no function answers at {path}: {form}"})


def test_a_client_that_uses_the_gateway_as_its_proxy_is_served(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(b"GET http://echo.test/x HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")
    assert raw.endswith(b"/x|")


def test_favicon_and_robots_are_not_the_handlers_unless_asked_for(plane: DataPlaneProcess) -> None:
    for path in ("/favicon.ico", "/robots.txt"):
        reply = plane.call("echo", path)
        assert (reply.status, reply.body, reply.headers["Access-Control-Allow-Origin"]) == (404, b"", "*")
    assert plane.call("icons", "/favicon.ico").body == b"/favicon.ico|"


def test_a_declared_length_over_the_limit_is_a_413(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(b"POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 6291457\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 413 ")
    assert raw.endswith(b"request payload too large, max payload size = 6291456 bytes\n")


def test_a_chunked_body_is_put_together(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(
        b"POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert raw.endswith(b"/|abcde")


def test_a_chunked_body_without_end_is_cut(plane: DataPlaneProcess) -> None:
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with plane.connect() as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(33):
            peer.sendall(chunk)
        assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_broken_chunk_is_a_400(plane: DataPlaneProcess) -> None:
    head = b"POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert plane.send_raw(head + b"3\r\nabc\r\nzz\r\n").startswith(b"HTTP/1.1 400 ")


def test_http_1_0_is_a_426(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(b"GET / HTTP/1.0\r\nHost: echo.test\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 426 ")


def test_a_target_that_is_too_long_is_a_431_and_counts_with_the_headers(plane: DataPlaneProcess) -> None:
    for target, header in ((70_000, 1), (31_000, 31_000)):
        rest = b" HTTP/1.1\r\nHost: echo.test\r\nX-A: " + b"a" * header + b"\r\n\r\n"
        assert plane.send_raw(b"GET /" + b"a" * target + rest).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "lines", [b"X-A: " + b"a" * 70_000, b"\r\n".join(b"X-%d: aaaaaaaaaa" % n for n in range(5000))]
)
def test_headers_without_end_are_a_431(plane: DataPlaneProcess, lines: bytes) -> None:
    raw = plane.send_raw(b"GET / HTTP/1.1\r\nHost: echo.test\r\n" + lines + b"\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\x00" * 100, b"GET / HTTP/1.1\r\nA B: c\r\n\r\n"]
)
def test_garbage_is_a_400_and_the_end_of_the_connection(plane: DataPlaneProcess, data: bytes) -> None:
    assert plane.send_raw(data).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("target", [b"/\xc3\xa9", b"/?q=\xc3\xa9", b"/\x7f"])
def test_a_target_with_bytes_of_another_alphabet_is_told_to_escape_them(
    plane: DataPlaneProcess, target: bytes
) -> None:
    raw = plane.send_raw(b"GET " + target + b" HTTP/1.1\r\nHost: echo.test\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert b"percent-encode" in raw


@pytest.mark.parametrize("target", [b"/%zz", b"nothing"])
def test_a_target_that_is_no_path_is_a_400(plane: DataPlaneProcess, target: bytes) -> None:
    raw = plane.send_raw(b"GET " + target + b" HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400 ")


def test_an_unsupported_trigger_type_is_a_400(plane: DataPlaneProcess) -> None:
    assert plane.call("echo", headers={"SCW_TRIGGER_TYPE": "mqtt"}).status == 400
    assert plane.call("echo", headers={"SCW_TRIGGER_TYPE": "http"}).status == 200


def test_websockets_are_refused_politely(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(
        b"GET / HTTP/1.1\r\nHost: echo.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert b"WebSockets are not supported" in raw


def test_an_offer_of_http2_is_ignored(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(
        b"GET /a HTTP/1.1\r\nHost: echo.test\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"
        b"GET /b HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n"
    )
    assert raw.count(b"HTTP/1.1 200 ") == 2
    assert raw.endswith(b"/b|")


def test_expect_100_continue_is_answered_before_the_body(plane: DataPlaneProcess) -> None:
    with plane.connect() as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert peer.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b"hi")
        assert peer.recv(65536).endswith(b"/|hi")


def test_pipelined_requests_are_answered_in_order(plane: DataPlaneProcess) -> None:
    count = 50
    requests = b"".join(b"GET /%d HTTP/1.1\r\nHost: echo.test\r\n\r\n" % n for n in range(count))
    last = b"GET /last HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n"
    raw = plane.send_raw(requests + b"GET /favicon.ico HTTP/1.1\r\nHost: echo.test\r\n\r\n" + last)
    positions = [raw.index(b"/%d|" % n) for n in range(count)] + [raw.index(b"HTTP/1.1 404"), raw.index(b"/last|")]
    assert positions == sorted(positions)


def test_a_connection_stays_open_between_requests(plane: DataPlaneProcess) -> None:
    with plane.connect() as peer:
        for path in (b"/1", b"/2"):
            peer.sendall(b"GET %b HTTP/1.1\r\nHost: echo.test\r\n\r\n" % path)
            assert peer.recv(65536).endswith(path + b"|")


def test_a_request_that_arrives_byte_by_byte_is_a_request(plane: DataPlaneProcess) -> None:
    with plane.connect() as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"POST /slow HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 2\r\n\r\nhi":
            peer.sendall(bytes([byte]))
        assert peer.recv(65536).endswith(b"/slow|hi")


def test_a_client_that_sends_half_a_request_and_leaves_is_forgotten(plane: DataPlaneProcess) -> None:
    for _ in range(20):
        with plane.connect() as peer:
            peer.sendall(b"POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 10\r\n\r\nhalf")
    assert plane.call("echo", "/x").body == b"/x|"


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "wrong"}, {"X-Auth-Token": ""}])
def test_a_private_function_without_a_valid_token_is_a_403_and_nothing_wakes(
    plane: DataPlaneProcess, headers: dict[str, str]
) -> None:
    reply = plane.call("secret", headers=headers)
    assert reply.status == 403
    assert isinstance(reply.json(), dict)


@pytest.mark.parametrize("name", ["X-Auth-Token", "SCW-Functions-Token"])
def test_the_secret_key_opens_a_private_function_and_is_not_shown_to_it(plane: DataPlaneProcess, name: str) -> None:
    reply = plane.call("secret", headers={name: SECRET_KEY})
    assert reply.status == 200
    assert SECRET_KEY not in json.dumps(reply.json())


def test_a_public_function_gets_a_token_of_its_own_kind_but_never_the_platforms_key(
    plane: DataPlaneProcess,
) -> None:
    plane.deploy("tokens", "def handle(e, c):\n    return {'body': e['headers'].get('X-Auth-Token')}\n")
    assert plane.call("tokens", headers={"X-Auth-Token": "mine"}).body == b"mine"
    assert plane.call("tokens", headers={"X-Auth-Token": SECRET_KEY}).body == b""


def test_the_private_door_asks_for_no_token_and_tells_its_health(plane: DataPlaneProcess) -> None:
    assert plane.call_private_listener("secret.test").status == 200
    assert plane.call_private_listener("localhost", "/healthz").status == 200
    assert plane.call("echo", "/healthz", host="127.0.0.1").status == 404


def test_a_client_that_leaves_in_the_middle_frees_the_instance(plane: DataPlaneProcess) -> None:
    source = (
        "import time\ndef handle(e, c):\n    time.sleep(0.2 if e['path'] == '/slow' else 0)\n    return 'done'\n"
    )
    plane.deploy("leaver", source, max_scale=1)
    for _ in range(3):
        with plane.connect() as peer:
            peer.sendall(b"GET /slow HTTP/1.1\r\nHost: leaver.test\r\n\r\n")
    assert plane.call("leaver").body == b"done"


def test_a_client_that_leaves_the_queue_takes_no_turn(plane: DataPlaneProcess) -> None:
    source = "CALLS = []\ndef handle(e, c):\n    CALLS.append(e['path'])\n    wait_for_latch()\n    return CALLS\n"
    with handler_latch() as latch, plane.connect() as first:
        route = plane.deploy("queue-leaver", latch.source + source, max_scale=1)
        first.sendall(b"GET /slow HTTP/1.1\r\nHost: queue-leaver.test\r\n\r\n")
        wait_for_counts(plane, route, busy=1)
        with plane.connect() as second:
            second.sendall(b"GET /gone HTTP/1.1\r\nHost: queue-leaver.test\r\n\r\n")
            wait_for_counts(plane, route, busy=1, waiting=1)
        wait_for_counts(plane, route, busy=1)
        latch.release()
        assert first.recv(65536).endswith(b'["/slow"]\n')
        assert plane.call("queue-leaver", "/last").json() == ["/slow", "/last"]


def test_a_client_that_leaves_in_the_middle_of_a_large_response_frees_the_instance(plane: DataPlaneProcess) -> None:
    plane.deploy("hasty", "def handle(e, c):\n    return 'x' * int(e['path'][1:])\n", max_scale=1)
    with plane.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sendall(b"GET /30000000 HTTP/1.1\r\nHost: hasty.test\r\n\r\n")
        assert peer.recv(10)
    assert plane.call("hasty", "/2").body == b"xx"


def test_a_response_larger_than_what_a_slow_client_takes_arrives_whole(plane: DataPlaneProcess) -> None:
    plane.deploy("large", "def handle(e, c):\n    return 'x' * 6_000_000\n", max_scale=1)
    with plane.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.sendall(b"GET / HTTP/1.1\r\nHost: large.test\r\nConnection: close\r\n\r\n")
        size = 0
        while part := peer.recv(1 << 20):
            size += part.count(b"x")
    assert size >= 6_000_000


def test_an_instance_whose_last_piece_a_client_could_not_take_answers_the_next_one(plane: DataPlaneProcess) -> None:
    """A document just over what is held back for the mapping is written at once, and nothing comes behind it."""
    source = "def handle(e, c):\n    return '{' + ' ' * int(e['path'][1:])\n"
    plane.deploy("last-piece", source, max_scale=1, timeout=10.0, memory=1024)
    for size in (32 * 1024 * 1024, 32 * 1024 * 1024, 1):
        reply = plane.call("last-piece", f"/{size}")
        assert (reply.status, len(reply.body)) == (200, size + 1)
