"""A fake Loki that records pushed log lines, and can reject pushes."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["LokiReceiver", "PushedLine", "running_loki_receiver"]


@dataclass(frozen=True, slots=True)
class PushedLine:
    """One line that was pushed."""

    time: int
    line: str
    stream: dict[str, str]
    metadata: dict[str, str]


@dataclass(slots=True)
class LokiReceiver:
    """The pushed lines and the headers of each push.

    Attributes:
        responses: Statuses of the next pushes, instead of 204.
        lines_max: A push with more lines gets 413.
    """

    url: str = ""
    lines: list[PushedLine] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    responses: list[int] = field(default_factory=list)
    lines_max: int = 2**31

    def receive(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Record a push and return the status of its response."""
        self.headers.append(headers)
        assert path == "/loki/api/v1/push", path
        assert headers["content-type"] == "application/json"
        if self.responses:
            return self.responses.pop(0)
        streams = json.loads(gzip.decompress(body))["streams"]
        lines = [_pushed_line(stream["stream"], value) for stream in streams for value in stream["values"]]
        if len(lines) > self.lines_max:
            return 413
        self.lines += lines
        return 204


def _pushed_line(stream: dict[str, str], value: list[object]) -> PushedLine:
    time, line, metadata = value
    assert isinstance(time, str)
    assert isinstance(line, str)
    assert isinstance(metadata, dict)
    return PushedLine(int(time), line, stream, metadata)


@contextmanager
def running_loki_receiver(port: int = 0) -> Iterator[LokiReceiver]:
    """Serve until the block ends."""
    receiver = LokiReceiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.receive(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(status)
            text = b"" if status == 204 else b"rejected"
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Disable logging."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

    with Server(("127.0.0.1", port), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
