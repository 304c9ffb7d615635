"""An HTTP server whose responses, and failures, a test chooses."""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["ReceivedRequest", "ScriptedResponse", "ScriptedServer", "scripted_server"]


@dataclass(frozen=True)
class ScriptedResponse:
    """One response.

    ``drop`` closes the connection without a response; ``sent_bytes`` closes it after so many bytes of the body.
    """

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False
    sent_bytes: int | None = None


@dataclass(frozen=True)
class ReceivedRequest:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    url: str
    requests: list[ReceivedRequest]


@contextmanager
def scripted_server(
    answer: Callable[[ReceivedRequest, int], ScriptedResponse],
    host: str = "127.0.0.1",
    tls: ssl.SSLContext | None = None,
) -> Iterator[ScriptedServer]:
    """Serve on a free port.

    Args:
        answer: Gets the request and the number of earlier requests.
        host: The address to serve on.
        tls: The context of an HTTPS server; ``None`` for HTTP.
    """
    seen: list[ReceivedRequest] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet: apart, the client's delayed ACK takes 40 ms

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = ReceivedRequest(self.command, self.path, dict(self.headers), self.rfile.read(length))
            number = len(seen)
            seen.append(request)
            response = answer(request, number)
            if response.drop:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(response.status)
            for name, value in {"Content-Type": "application/json", **response.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body[: response.sent_bytes])
            self.close_connection = self.close_connection or response.sent_bytes is not None

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any  # noqa: N815 - http.server's own names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
            del format, args

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            if not isinstance(sys.exception(), ssl.SSLError):  # a client that does not trust the certificate
                super().handle_error(request, client_address)  # type: ignore[arg-type]  # typeshed names its own types

    server = Server((host, 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield ScriptedServer(f"{'http' if tls is None else 'https'}://{host}:{server.server_port}", seen)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
