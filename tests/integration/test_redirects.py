"""``http_option: redirected``: plain HTTP is redirected to HTTPS, all other requests are served."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from fnkit.platform.model.routing import ClockState, Snapshot
from tests.support.data_plane import running_data_plane
from tests.support.ports import free_port
from tests.support.tls_data_plane import TlsDataPlane, read_to_end, running_tls_data_plane
from tests.support.waiting import wait_until

SOURCE = """
print("started")
def handle(event, context):
    return event["path"] + "|" + event["headers"]["X-Forwarded-Proto"]
"""
HOSTS = ("strict.test", "shop.example")


@pytest.fixture(scope="module")
def secure() -> Iterator[TlsDataPlane]:
    with running_tls_data_plane() as running:
        running.data_plane.deploy("strict", SOURCE, hosts=HOSTS, http_option="redirected")
        running.data_plane.deploy("strict-private", SOURCE, http_option="redirected", privacy="private")
        yield running


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
@pytest.mark.parametrize(
    ("host", "path"),
    [("strict.test", "/a/b?c=d&e=%20f"), ("SHOP.example:8481", "/"), ("127.0.0.1", "/fr-par/tests/strict/x?y")],
)
def test_plain_http_returns_301_to_the_https_url(secure: TlsDataPlane, method: str, host: str, path: str) -> None:
    reply = secure.data_plane.call(
        "strict", path, method=method, host=host, body=b"x" if method == "POST" else None
    )
    assert (reply.status, reply.body) == (301, b"")
    assert reply.headers["Location"] == f"https://{host.partition(':')[0]}:{secure.port}{path}"
    assert reply.headers["Content-Length"] == "0"
    assert reply.headers["Server"] == "envoy"
    assert reply.headers["Access-Control-Allow-Origin"] is None, "the request did not reach the runtime"


def test_invalid_uri_bytes_are_escaped_in_location(secure: TlsDataPlane) -> None:
    raw = secure.data_plane.send_raw(b"GET /\xc3\xa9 HTTP/1.1\r\nHost: strict.test\r\nConnection: close\r\n\r\n")
    if raw.startswith(b"HTTP/1.1 301 "):  # a parser may reject it earlier
        assert b"Location: https://strict.test:%d/%%C3%%A9\r\n" % secure.port in raw
    else:
        assert raw.startswith(b"HTTP/1.1 400 ")


def test_connection_is_kept_alive_after_redirect(secure: TlsDataPlane) -> None:
    with secure.data_plane.connect() as peer:
        for _ in range(2):
            peer.sendall(b"GET / HTTP/1.1\r\nHost: strict.test\r\n\r\n")
            assert peer.recv(65536).startswith(b"HTTP/1.1 301 ")


def test_redirect_precedes_token_check(secure: TlsDataPlane) -> None:
    assert secure.data_plane.call("strict-private").status == 301
    assert secure.call("strict-private.test").status == 403


def test_absolute_form_request_redirects_to_its_host(secure: TlsDataPlane) -> None:
    raw = secure.data_plane.send_raw(
        b"GET http://shop.example/a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert b"\r\nLocation: https://shop.example/a?b\r\n" in raw


@pytest.mark.parametrize("over_tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("scheme", [b"https", b"HTTPS"])
def test_https_target_in_absolute_form_is_served(secure: TlsDataPlane, scheme: bytes, *, over_tls: bool) -> None:
    request = b"GET %b://shop.example/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % scheme
    with secure.connect("shop.example") if over_tls else secure.data_plane.connect() as peer:
        peer.sendall(request)
        assert read_to_end(peer).endswith(b"\r\n\r\n/a|https")


def test_http_target_in_absolute_form_is_redirected_over_tls(secure: TlsDataPlane) -> None:
    with secure.connect("shop.example") as peer:
        peer.sendall(b"GET http://shop.example/a HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
        assert b"\r\nLocation: https://shop.example/a\r\n" in read_to_end(peer)


def test_scheme_of_a_target_counts_for_its_request_only(secure: TlsDataPlane) -> None:
    with secure.data_plane.connect() as peer:
        peer.sendall(
            b"GET https://strict.test/a HTTP/1.1\r\nHost: strict.test\r\n\r\n"
            b"GET /b HTTP/1.1\r\nHost: strict.test\r\nConnection: close\r\n\r\n"
        )
        raw = read_to_end(peer)
    assert b"/a|https" in raw
    assert b"\r\nLocation: https://strict.test:%d/b\r\n" % secure.port in raw


def test_https_target_needs_a_token_for_a_private_function(secure: TlsDataPlane) -> None:
    raw = secure.data_plane.send_raw(
        b"GET https://strict-private.test/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    assert raw.startswith(b"HTTP/1.1 403 ")


def test_https_request_is_served(secure: TlsDataPlane) -> None:
    assert secure.call("shop.example", "/a").body == b"/a|https"


def test_private_socket_request_is_served(secure: TlsDataPlane) -> None:
    assert secure.data_plane.call_private_listener("strict.test", "/cron").body == b"/cron|http"


def test_redirected_request_starts_no_instance() -> None:
    with running_data_plane(send_snapshot=False, tls_port=free_port()) as plane:
        code = plane.write_code("idle", {"handler.py": SOURCE})
        idle = plane.route("idle", code, http_option="redirected")
        clock = ClockState(platform_time=time.time(), real_time=time.time(), speed=0.0)
        plane.control.send_and_wait_for_ack(
            Snapshot(version=plane.control.next_version(), clock=clock, routes=(idle,))
        )
        for _ in range(5):
            assert plane.call("idle").status == 301
        assert plane.call_private_listener("idle.test").status == 200
        wait_until(lambda: plane.log_lines(idle))
        assert [line.message for line in plane.log_lines(idle)].count("started") == 1


def test_plain_http_is_served_with_warning_when_tls_is_off() -> None:
    with running_data_plane() as plane:
        plane.deploy("strict", SOURCE, http_option="redirected")
        assert plane.call("strict", "/a").body == b"/a|http"
        log = (plane.folder / "stderr.log").read_text()
        assert "strict redirects HTTP to HTTPS, but TLS is off: plain HTTP requests are served" in log
