"""A proxy in front of the API that kills the client instead of returning the n-th response.

The server has then executed a request whose response the client never received.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

__all__ = ["KillingProxy", "killing_proxy"]

_HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive"}


@dataclass
class KillingProxy:
    """``url`` is the proxy's own; ``requests`` lists ``METHOD path`` of the forwarded requests."""

    url: str
    requests: list[str] = field(default_factory=list)


@contextmanager
def killing_proxy(
    upstream: str, *, after: int | None, kill: Callable[[], None], missing: frozenset[str] = frozenset()
) -> Iterator[KillingProxy]:
    """Forward requests to ``upstream``; when ``after`` of them are done, call ``kill`` and drop all connections.

    Paths in ``missing`` are answered with 404, for example what only our platform has.
    """
    target = urlsplit(upstream)
    proxy = KillingProxy("")
    guard = threading.Lock()
    dead = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if self.path.split("?")[0] in missing:
                self.send_response(404)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")
                return
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
            """Ignore the broken connections of a killed client."""
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
