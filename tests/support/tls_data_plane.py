"""A data plane with a TLS listener, and a client that trusts its certificate authority."""

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
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.http_response import HttpResponse
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE

__all__ = ["TlsDataPlane", "certificate_names", "read_to_end", "running_tls_data_plane"]


@dataclass(frozen=True)
class TlsDataPlane:
    data_plane: DataPlaneProcess
    port: int
    ca: Path

    @property
    def context(self) -> ssl.SSLContext:
        """A context that trusts only the platform's authority, with the strict checks of Python 3.13."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(self.ca)
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
        return context

    def connect(self, name: str | None, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """Connect and perform the TLS handshake with ``name`` as the server name."""
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
    ) -> HttpResponse:
        """Send an HTTPS request for a host name that DNS does not know."""
        connection = http.client.HTTPConnection(name, self.port, timeout=DEADLINE)
        connection.sock = self.connect(name)
        try:
            connection.request(method, path, body, {"Host": name, **(headers or {})})
            response = connection.getresponse()
            return HttpResponse(response.status, response.headers, response.read())
        finally:
            connection.close()

    def open_tunnel(self, authority: bytes) -> tuple[socket.socket, bytes]:
        """Send CONNECT to the plaintext listener; return the connection and the head of the response."""
        peer = self.data_plane.connect()
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
    def log(self) -> str:
        """The stderr of the data plane."""
        return (self.data_plane.folder / "stderr.log").read_text()


def certificate_names(peer: ssl.SSLSocket) -> set[str]:
    """Return the names and addresses in the peer's certificate."""
    certificate = peer.getpeercert()
    assert certificate is not None
    alternatives = certificate["subjectAltName"]
    assert isinstance(alternatives, tuple)
    return {str(entry[1]) for entry in alternatives}


def read_to_end(peer: socket.socket) -> bytes:
    """Return everything that is received until the connection is closed."""
    parts = []
    while part := peer.recv(65536):
        parts.append(part)
    return b"".join(parts)


@contextmanager
def running_tls_data_plane() -> Iterator[TlsDataPlane]:
    port = free_port()
    with running_data_plane(tls_port=port) as plane:
        layout = DataLayout(plane.folder)
        ensure_certificate_authority(layout)
        yield TlsDataPlane(plane, port, layout.ca_certificate_file)
