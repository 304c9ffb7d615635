"""Handlers that tell the test what they do, over a socket: a file of the test's is not theirs to see."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Call", "Notes", "taking_notes"]

_HANDLER = """
import json, os, socket, time

LINE = socket.create_connection(("127.0.0.1", {port}))

def note(what, event):
    record = {{"function": "{function}", "what": what, "at": time.time(), "pid": os.getpid(), "event": event}}
    LINE.sendall(json.dumps(record).encode() + b"\\n")
    LINE.recv(1)  # it is written down

def handle(event, context):
    note("begin", event)
    answer = answered(event)
    note("end", event)
    return answer

{answered}
"""


@dataclass(frozen=True, slots=True)
class Call:
    """One note of a handler's: ``begin`` or ``end`` of a call, when (Unix seconds), by whom, and the event."""

    function: str
    what: str
    at: float
    pid: int
    event: dict[str, object]

    @property
    def body(self) -> str:
        """The message."""
        return str(self.event["body"])


class Notes:
    """Everything that was noted so far. ``port``: where handlers connect to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._lock = threading.Lock()
        self._calls: list[Call] = []

    def source(self, function: str, answered: str) -> str:
        """A module whose ``handle`` notes that it begins, calls ``answered(event)``, and notes that it ends."""
        return _HANDLER.format(port=self.port, function=function, answered=answered)

    def calls(self, function: str, what: str = "begin") -> list[Call]:
        """The notes of one function, in order."""
        with self._lock:
            return [call for call in self._calls if call.function == function and call.what == what]

    def write(self, line: bytes) -> None:
        """Keep a note."""
        note = json.loads(line)
        with self._lock:
            self._calls.append(Call(**note))


@contextmanager
def taking_notes() -> Iterator[Notes]:
    """Listen for notes."""

    class Lines(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line.endswith(b"\n"):
                    notes.write(line)
                    self.wfile.write(b".")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            del request, client_address  # a handler that is killed resets its line

    with Server(("127.0.0.1", 0), Lines) as server:
        notes = Notes(int(server.server_address[1]))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield notes
        finally:
            server.shutdown()
            thread.join()
