"""The registry forwarder, as the process that runs on a node."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.waiting import wait_until

LARGE = 8 * 1024 * 1024


class Forwarder:
    """A running forwarder."""

    def __init__(self, target: str, log: Path) -> None:
        self.port = free_port()
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "fnkit.platform.registry_forwarder"),
                    *("--port", str(self.port), "--target", target),
                ],
                stderr=output,
            )
        wait_until(lambda: "forwarding" in self.log or self.process.poll() is not None, what="a forwarder")

    @property
    def log(self) -> str:
        return self._log.read_text()

    def connect(self, host: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection((host, self.port), timeout=60)


@contextmanager
def running_forwarder(target: str, folder: Path) -> Iterator[Forwarder]:
    forwarder = Forwarder(target, folder / "forwarder.log")
    try:
        yield forwarder
    finally:
        forwarder.process.kill()
        forwarder.process.wait()


@contextmanager
def listening_server() -> Iterator[socket.socket]:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        server.settimeout(60)
        yield server


def target_of(server: socket.socket) -> str:
    return f"localhost:{server.getsockname()[1]}"


def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


def read_all(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_bytes_pass_in_both_directions_until_both_ends_have_finished(host: str, tmp_path: Path) -> None:
    if host == "::1" and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    content = bytes(range(256)) * (LARGE // 256)
    with listening_server() as server, running_forwarder(target_of(server), tmp_path) as forwarder:
        with forwarder.connect(host) as client, server.accept()[0] as peer, ThreadPoolExecutor() as threads:
            for sender, receiver in ((client, peer), (peer, client)):
                received = threads.submit(read_all, receiver)
                sender.sendall(content)
                sender.shutdown(socket.SHUT_WR)
                assert received.result(60) == content


def test_client_that_is_gone_is_gone_for_the_platform_too(tmp_path: Path) -> None:
    with listening_server() as server, running_forwarder(target_of(server), tmp_path) as forwarder:
        with forwarder.connect() as client, server.accept()[0] as peer:
            client.sendall(b"GET")
            assert peer.recv(3) == b"GET"
            peer.settimeout(60)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.close()
            with pytest.raises(ConnectionResetError):
                raise_unless_open(peer)


def raise_unless_open(connection: socket.socket) -> None:
    if connection.recv(1) == b"":
        raise ConnectionResetError


def test_platform_that_is_away_is_reported_once_and_used_again_when_it_is_back(tmp_path: Path) -> None:
    port = free_port()
    with running_forwarder(f"127.0.0.1:{port}", tmp_path) as forwarder:
        for _ in range(3):
            with forwarder.connect() as client:
                assert read_all(client) == b""
        assert forwarder.log.count("cannot be reached") == 1
        with socket.create_server(("127.0.0.1", port)) as server:
            server.settimeout(60)
            with forwarder.connect() as client, server.accept()[0] as peer:
                peer.sendall(b"again")
                peer.shutdown(socket.SHUT_WR)
                assert client.recv(5) == b"again"
        wait_until(lambda: "can be reached again" in forwarder.log)


def test_connections_are_bounded(tmp_path: Path) -> None:
    with listening_server() as server, running_forwarder(target_of(server), tmp_path) as forwarder:
        clients = [(forwarder.connect(), server.accept()[0]) for _ in range(256)]
        with forwarder.connect() as rejected, pytest.raises(ConnectionResetError):
            raise_unless_open(rejected)
        assert "256 are open" in forwarder.log
        for end in clients.pop():
            end.close()

        def is_forwarded() -> bool:
            with forwarder.connect() as client:
                client.settimeout(0.2)
                try:
                    return client.recv(1) != b""
                except TimeoutError:
                    return True
                except OSError:
                    return False

        wait_until(is_forwarded)
        for pair in clients:
            for end in pair:
                end.close()


def test_it_ends_with_sigterm(tmp_path: Path) -> None:
    with running_forwarder("127.0.0.1:1", tmp_path) as forwarder:
        forwarder.process.send_signal(signal.SIGTERM)
        assert forwarder.process.wait(60) == 0


def test_port_that_is_taken_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with listening_server() as server:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "fnkit.platform.registry_forwarder"),
                *("--port", str(server.getsockname()[1]), "--target", "127.0.0.1:1"),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
    assert done.returncode == 1
    assert "Address already in use" in done.stderr
    assert "--registry-port" in done.stderr
    assert "Traceback" not in done.stderr
