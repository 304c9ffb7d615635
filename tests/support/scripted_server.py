"""A real HTTP server that answers what a test tells it to: the failures that no good server produces."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["Answer", "Request", "ScriptedServer", "scripted_server"]


@dataclass(frozen=True)
class Answer:
    """``drop`` closes the connection without a word."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    drop: bool = False


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class ScriptedServer:
    url: str
    requests: list[Request]


@contextmanager
def scripted_server(answer: Callable[[Request, int], Answer]) -> Iterator[ScriptedServer]:
    """Serve on a free port; ``answer`` gets the request and how many came before it."""
    seen: list[Request] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            request = Request(self.command, self.path, dict(self.headers), self.rfile.read(length))
            number = len(seen)
            seen.append(request)
            wanted = answer(request, number)
            if wanted.drop:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(wanted.status)
            for name, value in {"Content-Type": "application/json", **wanted.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(wanted.body)))
            self.end_headers()
            self.wfile.write(wanted.body)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_any  # noqa: N815 - http.server's own names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's own name
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield ScriptedServer(f"http://127.0.0.1:{server.server_port}", seen)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
