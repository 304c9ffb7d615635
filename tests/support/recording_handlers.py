"""Handlers that report each call to the test over a socket; the sandbox hides the test's files from them."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.engine_under_test import engine_under_test

__all__ = ["CallRecorder", "RecordedCall", "call_recorder"]

_HANDLER = """
import json, os, socket, time

CONNECTION = socket.create_connection(("{host}", {port}))

def record(phase, event):
    call = {{"function": "{function}", "phase": phase, "time": time.time(), "pid": os.getpid(), "event": event}}
    CONNECTION.sendall(json.dumps(call).encode() + b"\\n")
    CONNECTION.recv(1)  # the recorder confirms

def handle(event, context):
    record("begin", event)
    response = respond(event)
    record("end", event)
    return response

{respond}
"""


@dataclass(frozen=True, slots=True)
class RecordedCall:
    """The begin or the end of a call.

    Attributes:
        function: The name given to ``CallRecorder.handler_source``.
        phase: ``begin`` or ``end``.
        time: Unix seconds.
        pid: The handler's process, as a pid of its own namespace.
        event: The handler's event.
    """

    function: str
    phase: str
    time: float
    pid: int
    event: dict[str, object]

    @property
    def body(self) -> str:
        """The message."""
        return str(self.event["body"])


class CallRecorder:
    """The recorded calls. Handlers connect to the address."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._lock = threading.Lock()
        self._calls: list[RecordedCall] = []

    def handler_source(self, function: str, respond: str) -> str:
        """Return a module whose ``handle`` records its begin, returns ``respond(event)``, and records its end.

        Args:
            function: The name in the recorded calls.
            respond: The source of the function ``respond(event)``.
        """
        return _HANDLER.format(host=self._host, port=self._port, function=function, respond=respond)

    def calls(self, function: str, phase: str = "begin") -> list[RecordedCall]:
        """Return the calls of a function, in order."""
        with self._lock:
            return [call for call in self._calls if call.function == function and call.phase == phase]

    def record(self, line: bytes) -> None:
        """Add a call from a handler's JSON."""
        call = RecordedCall(**json.loads(line))
        with self._lock:
            self._calls.append(call)


@contextmanager
def call_recorder() -> Iterator[CallRecorder]:
    """Listen for calls on a free port."""

    class Lines(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            for line in self.rfile:
                if line.endswith(b"\n"):
                    recorder.record(line)
                    self.wfile.write(b".")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: object, client_address: object) -> None:
            del request, client_address  # a handler that is killed resets its connection

    host = engine_under_test().host
    with Server((host, 0), Lines) as server:
        recorder = CallRecorder(host, int(server.server_address[1]))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield recorder
        finally:
            server.shutdown()
            thread.join()
