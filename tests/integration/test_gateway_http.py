"""HTTP at the gateway: hosts and paths, rejected requests, misbehaving connections."""

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
def test_host_matches_in_any_case_and_with_any_port(plane: DataPlaneProcess, host: str) -> None:
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
def test_path_url_is_served_on_gateway_address(plane: DataPlaneProcess, path: str, seen: bytes, host: str) -> None:
    assert plane.call("echo", path, host=host).body == seen


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("unknown.test", "/"),
        ("x.test", "/fr-par/tests/echo"),
    ],
)
def test_unknown_host_returns_404_with_a_message(plane: DataPlaneProcess, host: str, path: str) -> None:
    reply = plane.call("echo", path, host=host)
    assert reply.status == 404
    assert reply.json() == {"message": f"no function answers for {host}"}


@pytest.mark.parametrize("path", ["/", "/fr-par/tests/unknown", "/nl-ams/tests/echo/"])
def test_unknown_path_returns_404_that_shows_the_url_form(plane: DataPlaneProcess, path: str) -> None:
    reply = plane.call("echo", path, host="127.0.0.1")
    form = "functions are at /<region>/<namespace>/<function>/"
    assert (reply.status, reply.json()) == (404, {"message": f"no function answers at {path}: {form}"})


def test_absolute_form_request_is_served(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(b"GET http://echo.test/x HTTP/1.1\r\nHost: other\r\nConnection: close\r\n\r\n")
    assert raw.endswith(b"/x|")


def test_favicon_and_robots_are_404_unless_enabled(plane: DataPlaneProcess) -> None:
    for path in ("/favicon.ico", "/robots.txt"):
        reply = plane.call("echo", path)
        assert (reply.status, reply.body, reply.headers["Access-Control-Allow-Origin"]) == (404, b"", "*")
    assert plane.call("icons", "/favicon.ico").body == b"/favicon.ico|"


def test_content_length_over_the_limit_returns_413(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(b"POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 6291457\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 413 ")
    assert raw.endswith(b"request payload too large, max payload size = 6291456 bytes\n")


def test_chunked_body_is_reassembled(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(
        b"POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert raw.endswith(b"/|abcde")


def test_endless_chunked_body_returns_413(plane: DataPlaneProcess) -> None:
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    with plane.connect() as peer:
        peer.sendall(b"POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(33):
            peer.sendall(chunk)
        assert peer.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_malformed_chunk_returns_400(plane: DataPlaneProcess) -> None:
    head = b"POST / HTTP/1.1\r\nHost: echo.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert plane.send_raw(head + b"3\r\nabc\r\nzz\r\n").startswith(b"HTTP/1.1 400 ")


def test_http_1_0_request_returns_426(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(b"GET / HTTP/1.0\r\nHost: echo.test\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 426 ")


def test_target_length_counts_towards_header_limit(plane: DataPlaneProcess) -> None:
    for target, header in ((70_000, 1), (31_000, 31_000)):
        rest = b" HTTP/1.1\r\nHost: echo.test\r\nX-A: " + b"a" * header + b"\r\n\r\n"
        assert plane.send_raw(b"GET /" + b"a" * target + rest).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "lines", [b"X-A: " + b"a" * 70_000, b"\r\n".join(b"X-%d: aaaaaaaaaa" % n for n in range(5000))]
)
def test_oversized_headers_are_a_431(plane: DataPlaneProcess, lines: bytes) -> None:
    raw = plane.send_raw(b"GET / HTTP/1.1\r\nHost: echo.test\r\n" + lines + b"\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "data", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"\x00" * 100, b"GET / HTTP/1.1\r\nA B: c\r\n\r\n"]
)
def test_malformed_request_returns_400_and_closes_connection(plane: DataPlaneProcess, data: bytes) -> None:
    assert plane.send_raw(data).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("target", [b"/\xc3\xa9", b"/?q=\xc3\xa9", b"/\x7f"])
def test_unescaped_target_error_suggests_percent_encoding(plane: DataPlaneProcess, target: bytes) -> None:
    raw = plane.send_raw(b"GET " + target + b" HTTP/1.1\r\nHost: echo.test\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert b"percent-encode" in raw


@pytest.mark.parametrize("target", [b"/%zz", b"nothing", b"http://a@echo.test/"])
def test_invalid_target_returns_400(plane: DataPlaneProcess, target: bytes) -> None:
    raw = plane.send_raw(b"GET " + target + b" HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n")
    assert raw.startswith(b"HTTP/1.1 400 ")


def test_unsupported_trigger_type_returns_400(plane: DataPlaneProcess) -> None:
    assert plane.call("echo", headers={"SCW_TRIGGER_TYPE": "mqtt"}).status == 400
    assert plane.call("echo", headers={"SCW_TRIGGER_TYPE": "http"}).status == 200


def test_websocket_upgrade_returns_400(plane: DataPlaneProcess) -> None:
    raw = plane.send_raw(
        b"GET / HTTP/1.1\r\nHost: echo.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert raw.startswith(b"HTTP/1.1 400 ")
    assert b"WebSockets are not supported" in raw


def test_h2c_upgrade_is_ignored(plane: DataPlaneProcess) -> None:
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


def test_connection_is_kept_alive_between_requests(plane: DataPlaneProcess) -> None:
    with plane.connect() as peer:
        for path in (b"/1", b"/2"):
            peer.sendall(b"GET %b HTTP/1.1\r\nHost: echo.test\r\n\r\n" % path)
            assert peer.recv(65536).endswith(path + b"|")


def test_request_sent_byte_by_byte_is_served(plane: DataPlaneProcess) -> None:
    with plane.connect() as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"POST /slow HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 2\r\n\r\nhi":
            peer.sendall(bytes([byte]))
        assert peer.recv(65536).endswith(b"/slow|hi")


def test_disconnect_during_request_does_not_affect_others(plane: DataPlaneProcess) -> None:
    for _ in range(20):
        with plane.connect() as peer:
            peer.sendall(b"POST / HTTP/1.1\r\nHost: echo.test\r\nContent-Length: 10\r\n\r\nhalf")
    assert plane.call("echo", "/x").body == b"/x|"


@pytest.mark.parametrize("headers", [{}, {"X-Auth-Token": "wrong"}, {"X-Auth-Token": ""}])
def test_private_function_without_valid_token_returns_403(plane: DataPlaneProcess, headers: dict[str, str]) -> None:
    reply = plane.call("secret", headers=headers)
    assert reply.status == 403
    assert isinstance(reply.json(), dict)


@pytest.mark.parametrize("name", ["X-Auth-Token", "SCW-Functions-Token"])
def test_secret_key_authorizes_call_and_is_hidden_from_handler(plane: DataPlaneProcess, name: str) -> None:
    reply = plane.call("secret", headers={name: SECRET_KEY})
    assert reply.status == 200
    assert SECRET_KEY not in json.dumps(reply.json())


def test_public_function_sees_own_token_but_never_platform_key(
    plane: DataPlaneProcess,
) -> None:
    plane.deploy("tokens", "def handle(e, c):\n    return {'body': e['headers'].get('X-Auth-Token')}\n")
    assert plane.call("tokens", headers={"X-Auth-Token": "mine"}).body == b"mine"
    assert plane.call("tokens", headers={"X-Auth-Token": SECRET_KEY}).body == b""


def test_private_socket_needs_no_token_and_serves_health(plane: DataPlaneProcess) -> None:
    assert plane.call_private_listener("secret.test").status == 200
    assert plane.call_private_listener("localhost", "/healthz").status == 200
    assert plane.call("echo", "/healthz", host="127.0.0.1").status == 404


def test_client_disconnect_frees_the_instance(plane: DataPlaneProcess) -> None:
    source = (
        "import time\ndef handle(e, c):\n    time.sleep(0.2 if e['path'] == '/slow' else 0)\n    return 'done'\n"
    )
    plane.deploy("disconnect", source, max_scale=1)
    for _ in range(3):
        with plane.connect() as peer:
            peer.sendall(b"GET /slow HTTP/1.1\r\nHost: disconnect.test\r\n\r\n")
    assert plane.call("disconnect").body == b"done"


def test_disconnected_client_is_removed_from_queue(plane: DataPlaneProcess) -> None:
    source = "CALLS = []\ndef handle(e, c):\n    CALLS.append(e['path'])\n    wait_for_latch()\n    return CALLS\n"
    with handler_latch() as latch, plane.connect() as first:
        route = plane.deploy("queue-disconnect", latch.source + source, max_scale=1)
        first.sendall(b"GET /slow HTTP/1.1\r\nHost: queue-disconnect.test\r\n\r\n")
        wait_for_counts(plane, route, busy=1)
        with plane.connect() as second:
            second.sendall(b"GET /disconnected HTTP/1.1\r\nHost: queue-disconnect.test\r\n\r\n")
            wait_for_counts(plane, route, busy=1, waiting=1)
        wait_for_counts(plane, route, busy=1)
        latch.release()
        assert first.recv(65536).endswith(b'["/slow"]\n')
        assert plane.call("queue-disconnect", "/last").json() == ["/slow", "/last"]


def test_disconnect_during_large_response_frees_the_instance(plane: DataPlaneProcess) -> None:
    plane.deploy("large-disconnect", "def handle(e, c):\n    return 'x' * int(e['path'][1:])\n", max_scale=1)
    with plane.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        peer.sendall(b"GET /30000000 HTTP/1.1\r\nHost: large-disconnect.test\r\n\r\n")
        assert peer.recv(10)
    assert plane.call("large-disconnect", "/2").body == b"xx"


def test_large_response_to_slow_client_is_complete(plane: DataPlaneProcess) -> None:
    plane.deploy("large", "def handle(e, c):\n    return 'x' * 6_000_000\n", max_scale=1)
    with plane.connect() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        peer.sendall(b"GET / HTTP/1.1\r\nHost: large.test\r\nConnection: close\r\n\r\n")
        size = 0
        while part := peer.recv(1 << 20):
            size += part.count(b"x")
    assert size >= 6_000_000


def test_instance_is_reused_after_response_over_buffer_limit(plane: DataPlaneProcess) -> None:
    """A body just over the size that the gateway buffers is written at once, and no further data follows it."""
    source = "def handle(e, c):\n    return '{' + ' ' * int(e['path'][1:])\n"
    plane.deploy("last-piece", source, max_scale=1, timeout=10.0, memory=1024)
    for size in (32 * 1024 * 1024, 32 * 1024 * 1024, 1):
        reply = plane.call("last-piece", f"/{size}")
        assert (reply.status, len(reply.body)) == (200, size + 1)
