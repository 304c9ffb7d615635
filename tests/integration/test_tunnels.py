"""The gateway as an HTTP proxy: CONNECT tunnels lead to functions only."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator

import pytest
import requests

from tests.support.data_plane import running_data_plane
from tests.support.tls_data_plane import TlsDataPlane, read_to_end, running_tls_data_plane
from tests.support.waiting import DEADLINE

ECHO = "def handle(event, context):\n    return {'body': event}\n"
HOST = "www.shop.example"


@pytest.fixture(scope="module")
def secure() -> Iterator[TlsDataPlane]:
    with running_tls_data_plane() as running:
        running.data_plane.deploy("echo", ECHO, hosts=(HOST, "echo.functions.fnc.fr-par.localhost"))
        yield running
        assert "Traceback" not in running.log


@pytest.fixture
def proxied(secure: TlsDataPlane) -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        gateway = f"http://someone:secret@127.0.0.1:{secure.data_plane.port}"
        session.proxies = {"http": gateway, "https": gateway}
        session.verify = str(secure.ca)
        yield session


@pytest.mark.parametrize(
    "url", [f"http://{HOST}/a", f"https://{HOST}/a", "https://echo.functions.fnc.fr-par.localhost/a"]
)
def test_function_is_reached_by_its_host_through_the_proxy(proxied: requests.Session, url: str) -> None:
    for _ in range(2):
        event = proxied.get(url, timeout=DEADLINE).json()
        assert event["path"] == "/a"
        assert event["headers"]["X-Forwarded-Proto"] == url.partition(":")[0]
        assert [name for name in event["headers"] if name.startswith("Proxy")] == []


def test_curl_uses_the_proxy_from_its_environment(secure: TlsDataPlane) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    environment = {"PATH": os.environ["PATH"], "HTTPS_PROXY": f"http://127.0.0.1:{secure.data_plane.port}"}
    command = ["curl", "-sS", "--cacert", str(secure.ca), f"https://{HOST}/c"]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert json.loads(done.stdout)["path"] == "/c"


@pytest.mark.parametrize("port", [443, 8443, 1])
def test_tunnel_serves_tls(secure: TlsDataPlane, port: int) -> None:
    peer, head = secure.open_tunnel(b"www.shop.example:%d" % port)
    assert head == b"HTTP/1.1 200 Connection established\r\n\r\n"
    with peer, secure.context.wrap_socket(peer, server_hostname=HOST) as inner:
        for path in (b"/1", b"/2"):
            inner.sendall(b"GET %b HTTP/1.1\r\nHost: www.shop.example\r\n\r\n" % path)
            answer = inner.recv(65536)
            assert answer.startswith(b"HTTP/1.1 200 ")
            assert b'"path":"%b"' % path in answer


def test_tunnel_to_plain_port_serves_http(secure: TlsDataPlane) -> None:
    for port in (80, secure.data_plane.port):
        peer, head = secure.open_tunnel(b"www.shop.example:%d" % port)
        with peer:
            assert head.startswith(b"HTTP/1.1 200 ")
            peer.sendall(b"GET /p HTTP/1.1\r\nHost: www.shop.example\r\nConnection: close\r\n\r\n")
            raw = read_to_end(peer)
        assert b'"X-Forwarded-Proto":"http"' in raw


def test_tunnel_over_the_tls_port_is_supported(secure: TlsDataPlane) -> None:
    with secure.connect("localhost") as outer:
        outer.sendall(b"CONNECT www.shop.example:443 HTTP/1.1\r\nHost: www.shop.example:443\r\n\r\n")
        assert outer.recv(100).startswith(b"HTTP/1.1 200 ")
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        inner = secure.context.wrap_bio(incoming, outgoing, server_hostname=HOST)
        while True:
            try:
                inner.do_handshake()
                break
            except ssl.SSLWantReadError:
                outer.sendall(outgoing.read())
                incoming.write(outer.recv(65536))
        inner.write(b"GET /in HTTP/1.1\r\nHost: www.shop.example\r\n\r\n")
        outer.sendall(outgoing.read())
        answer = b""
        while b'"path":"/in"' not in answer:
            incoming.write(outer.recv(65536))
            try:
                answer += inner.read()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize("authority", [b"example.com:443", b"127.0.0.1:%d", b"localhost:%d", b"[::1]:%d"])
def test_tunnel_to_unknown_host_returns_403_without_connecting(secure: TlsDataPlane, authority: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as victim:
        if b"%d" in authority:
            authority %= victim.getsockname()[1]
        peer, head = secure.open_tunnel(authority)
        with peer:
            assert head.startswith(b"HTTP/1.1 403 ")
            body = read_to_end(peer)
        name = authority.rpartition(b":")[0].decode()
        assert json.loads(body) == {"message": f"this proxy connects only to functions: none answers for {name}"}
        victim.settimeout(0)
        with pytest.raises(BlockingIOError):
            victim.accept()


@pytest.mark.parametrize("authority", [b"www.shop.example", b":443", b"www.shop.example:", b"x:0", b"x:65536"])
def test_tunnel_to_invalid_address_returns_400(secure: TlsDataPlane, authority: bytes) -> None:
    peer, head = secure.open_tunnel(authority)
    peer.close()
    assert head.startswith(b"HTTP/1.1 400 ")


def test_private_socket_rejects_connect(secure: TlsDataPlane) -> None:
    reply = secure.data_plane.call_private_listener(HOST, "www.shop.example:443", method="CONNECT")
    assert reply.status == 405


def test_invalid_data_in_tunnel_does_not_affect_others(secure: TlsDataPlane) -> None:
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 100, b""):
        peer, head = secure.open_tunnel(b"www.shop.example:443")
        with peer:
            assert head.startswith(b"HTTP/1.1 200 ")
            peer.sendall(data)
    peer, head = secure.open_tunnel(b"www.shop.example:443")
    with peer, secure.context.wrap_socket(peer, server_hostname=HOST) as inner:
        inner.sendall(b"GET /still HTTP/1.1\r\nHost: www.shop.example\r\n\r\n")
        assert b'"path":"/still"' in inner.recv(65536)


def test_only_plain_tunnels_are_opened_when_tls_is_off() -> None:
    with running_data_plane() as plane:
        plane.deploy("echo", ECHO)
        head = plane.send_raw(b"CONNECT echo.test:443 HTTP/1.1\r\nHost: echo.test\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 ")
        assert b"TLS is off on this platform" in head
        raw = plane.send_raw(
            b"CONNECT echo.test:80 HTTP/1.1\r\nHost: echo.test:80\r\n\r\n"
            b"GET /eager HTTP/1.1\r\nHost: echo.test\r\nConnection: close\r\n\r\n"
        )
        assert raw.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.1 200 OK\r\n")
        assert b'"path":"/eager"' in raw
