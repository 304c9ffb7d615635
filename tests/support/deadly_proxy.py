"""A real proxy before the API that kills the client after its n-th request has been answered by the server.

The server has then done what was asked, and the client never hears of it: the hardest place to die.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ["DeadlyProxy", "deadly_proxy"]

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class DeadlyProxy:
    """url: where to send requests. requests: ``METHOD path`` of all that were passed on."""

    url: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def deadly_proxy(upstream: str, *, after: int | None, kill: Callable[[], None]) -> Iterator[DeadlyProxy]:
    """Pass requests on to ``upstream``; once ``after`` of them are done there, ``kill`` and answer nothing more."""
    target = urlsplit(upstream)
    proxy = DeadlyProxy("")
    guard = threading.Lock()
    dead = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            with guard:
                if dead.is_set():
                    self.close_connection = True
                    return
                connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
                connection.request(self.command, self.path, body=body, headers=dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                proxy.requests.append(f"{self.command} {self.path.split('?')[0]}")
                if after is not None and len(proxy.requests) >= after:
                    dead.set()
                    kill()
                    self.close_connection = True
                    return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in _HOP_BY_HOP | {"content-length", "date", "server"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any  # noqa: N815 - http.server's own names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
            del format, args

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A killed client leaves broken connections behind; that is what this server is for."""
            del request, client_address

    server = Server(("127.0.0.1", 0), Handler)
    proxy.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
