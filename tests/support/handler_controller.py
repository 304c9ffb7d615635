"""Lets a test record the messages that handlers receive, and choose and delay their responses, without logs.

``HANDLER`` is the function's code; it needs ``CONTROLLER_URL`` in its environment.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from tests.support.engine_under_test import engine_under_test
from tests.support.waiting import DEADLINE, wait_until

__all__ = ["HANDLER", "HandlerController", "running_handler_controller"]

HANDLER: Final = """
import json
import os
from urllib.request import Request, urlopen

def handle(event, context):
    call = {"body": event["body"], "headers": event["headers"]}
    with urlopen(Request(os.environ["CONTROLLER_URL"], json.dumps(call).encode()), timeout=60) as response:
        return {"statusCode": int(response.read()), "body": "chosen by the controller"}
"""


@dataclass(slots=True)
class HandlerController:
    """Receives the calls of handlers and decides what they return.

    Attributes:
        url: Where handlers report their calls.
        status_for: Returns the status for a body.
        is_held: Whether a call with this body waits until ``release`` is set.
        release: Ends the wait of held calls.
        received: The body and the time of each call, in order.
        headers: The headers of each call, in order.
        in_flight: Bodies of the running calls.
        max_in_flight: The largest number of calls that ran at the same time.
        lock: Protects the lists above.
    """

    url: str = ""
    status_for: Callable[[str], int] = lambda _body: 200
    is_held: Callable[[str], bool] = lambda _body: False
    release: threading.Event = field(default_factory=threading.Event)
    received: list[tuple[str, float]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    in_flight: list[str] = field(default_factory=list)
    max_in_flight: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def bodies(self) -> list[str]:
        """The body of each call, in order."""
        return [body for body, _ in self.received]

    def counts(self, prefix: str = "") -> Counter[str]:
        """Return the number of calls by body."""
        return Counter(body for body in self.bodies if body.startswith(prefix))

    def wait_for_count(self, body: str, number: int, deadline: float = DEADLINE) -> None:
        """Wait until there were at least ``number`` calls with this body."""
        wait_until(
            lambda: self.bodies.count(body) >= number, deadline, what=f"{body} × {number} in {self.counts()}"
        )

    def _on_call(self, body: str, headers: dict[str, str]) -> int:
        with self.lock:
            self.received.append((body, time.monotonic()))
            self.headers.append(headers)
            self.in_flight.append(body)
            self.max_in_flight = max(self.max_in_flight, len(self.in_flight))
        if self.is_held(body):
            self.release.wait(60)
        with self.lock:
            self.in_flight.remove(body)
        return self.status_for(body)


@contextmanager
def running_handler_controller() -> Iterator[HandlerController]:
    """Listen on a free port."""
    controller = HandlerController()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            call = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = str(controller._on_call(call["body"], call["headers"])).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(status)))
            self.end_headers()
            self.wfile.write(status)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Ignore the broken connections of killed handlers."""

    host = engine_under_test().host
    server = Server((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    controller.url = f"http://{host}:{server.server_address[1]}/"
    try:
        yield controller
    finally:
        controller.release.set()
        server.shutdown()
        server.server_close()
