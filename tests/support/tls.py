"""A data plane with a TLS door, and a client that trusts its authority."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fnkit.platform.model.settings import DataLayout
from fnkit.platform.supervisor.certificate_authority import ensure_certificate_authority
from tests.support.data_plane import DataPlaneProcess, Reply, running_data_plane
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE

__all__ = ["SecurePlane", "certificate_names", "everything", "running_secure_plane"]


@dataclass(frozen=True)
class SecurePlane:
    plane: DataPlaneProcess
    port: int
    ca: Path

    @property
    def context(self) -> ssl.SSLContext:
        """Trusts the platform's authority and nobody else, as strictly as Python's newest release does."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        return context

    def shake(self, name: str | None, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """Connect and shake hands, asking for ``name``."""
        peer = socket.create_connection(("127.0.0.1", self.port), timeout=DEADLINE)
        try:
            return (context or self.context).wrap_socket(peer, server_hostname=name)
        except BaseException:
            peer.close()
            raise

    def call(
        self,
        name: str,
        path: str = "/",
        *,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request by https under a name that no resolver knows."""
        connection = http.client.HTTPConnection(name, self.port, timeout=DEADLINE)
        connection.sock = self.shake(name)
        try:
            connection.request(method, path, body, {"Host": name, **(headers or {})})
            response = connection.getresponse()
            return Reply(response.status, response.getheaders(), response.read())
        finally:
            connection.close()

    def tunnel(self, authority: bytes) -> tuple[socket.socket, bytes]:
        """Ask the plain door for a tunnel; returns the connection and the head of the answer."""
        peer = self.plane.connect()
        peer.sendall(
            b"CONNECT %b HTTP/1.1\r\nHost: %b\r\nProxy-Connection: keep-alive\r\n\r\n" % (authority, authority)
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            piece = peer.recv(1)
            if not piece:
                break
            head += piece
        return peer, head

    @property
    def words(self) -> str:
        """What the data plane wrote to its log."""
        return (self.plane.folder / "stderr.log").read_text()


def certificate_names(peer: ssl.SSLSocket) -> set[str]:
    """The names and addresses in the certificate that was shown."""
    shown = peer.getpeercert()
    assert shown is not None
    alternatives = shown["subjectAltName"]
    assert isinstance(alternatives, tuple)
    return {str(entry[1]) for entry in alternatives}


def everything(peer: socket.socket) -> bytes:
    """All that comes until the other end closes."""
    parts = []
    while part := peer.recv(65536):
        parts.append(part)
    return b"".join(parts)


@contextmanager
def running_secure_plane() -> Iterator[SecurePlane]:
    port = free_port()
    with running_data_plane(tls_port=port) as plane:
        layout = DataLayout(plane.folder)
        ensure_certificate_authority(layout)
        yield SecurePlane(plane, port, layout.ca_certificate_file)
