"""A server that takes pushed logs as Loki documents it, and says what it got; it can be told to fail."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

__all__ = ["LogReceiver", "Received", "running_receiver"]


@dataclass(frozen=True, slots=True)
class Received:
    """One line that was pushed."""

    time: int
    line: str
    stream: dict[str, str]
    metadata: dict[str, str]


@dataclass(slots=True)
class LogReceiver:
    """What came. answers: statuses that the next pushes get instead of 204, first to last."""

    url: str = ""
    lines: list[Received] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    largest: int = 2**31

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Take one push; returns the status."""
        self.headers.append(headers)
        assert path == "/loki/api/v1/push", path
        assert headers["content-type"] == "application/json"
        if self.answers:
            return self.answers.pop(0)
        streams = json.loads(gzip.decompress(body))["streams"]
        lines = [_line(stream["stream"], value) for stream in streams for value in stream["values"]]
        if len(lines) > self.largest:
            return 413
        self.lines += lines
        return 204


def _line(stream: dict[str, str], value: list[object]) -> Received:
    time, line, metadata = value
    assert isinstance(time, str)
    assert isinstance(line, str)
    assert isinstance(metadata, dict)
    return Received(int(time), line, stream, metadata)


@contextmanager
def running_receiver(port: int = 0) -> Iterator[LogReceiver]:
    """Serve until the block ends."""
    receiver = LogReceiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status = receiver.take(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(status)
            text = b"" if status == 204 else b"the receiver says no"
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

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
