"""Where handlers of queue tests report what they were given, and are told how to answer: no logs to wait for.

``HANDLER`` is the function's code; it needs ``RECORDER`` in its environment.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from tests.support.waiting import DEADLINE, wait_until

__all__ = ["HANDLER", "Recorder", "running_recorder"]

HANDLER: Final = """
import json
import os
from urllib.request import Request, urlopen

def handle(event, context):
    told = {"body": event["body"], "headers": event["headers"]}
    with urlopen(Request(os.environ["RECORDER"], json.dumps(told).encode()), timeout=60) as answer:
        return {"statusCode": int(answer.read()), "body": "told so"}
"""


@dataclass(slots=True)
class Recorder:
    """seen: each message that a handler began with: its body, and when. answer: which status for a body.

    A body for which ``holds`` says so waits until ``release`` is set. at_once: the most at a time.
    """

    url: str = ""
    answer: Callable[[str], int] = lambda _body: 200
    holds: Callable[[str], bool] = lambda _body: False
    release: threading.Event = field(default_factory=threading.Event)
    seen: list[tuple[str, float]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    under_way: list[str] = field(default_factory=list)
    at_once: int = 0
    guard: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bodies(self) -> list[str]:
        """What handlers began with, in order."""
        return [body for body, _ in self.seen]

    def counts(self, prefix: str = "") -> Counter[str]:
        """How often a handler began with each body."""
        return Counter(body for body in self.bodies if body.startswith(prefix))

    def times(self, body: str, number: int, deadline: float = DEADLINE) -> None:
        """Wait until a handler began so often with it."""
        wait_until(
            lambda: self.bodies.count(body) >= number, deadline, what=f"{body} × {number} in {self.counts()}"
        )

    def _told(self, body: str, headers: dict[str, str]) -> int:
        with self.guard:
            self.seen.append((body, time.monotonic()))
            self.headers.append(headers)
            self.under_way.append(body)
            self.at_once = max(self.at_once, len(self.under_way))
        if self.holds(body):
            self.release.wait(60)
        with self.guard:
            self.under_way.remove(body)
        return self.answer(body)


@contextmanager
def running_recorder() -> Iterator[Recorder]:
    """Listen on a free port of loopback."""
    import json

    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            answer = str(recorder._told(told["body"], told["headers"])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """A handler that was killed has closed its end."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    recorder.url = f"http://127.0.0.1:{server.server_address[1]}/"
    try:
        yield recorder
    finally:
        recorder.release.set()
        server.shutdown()
        server.server_close()
