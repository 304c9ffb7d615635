"""A debugger: a client of the Debug Adapter Protocol that does what an editor does, over a socket."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_TIMEOUT = 60.0

Message = dict[str, Any]


class DebugClient:
    """One connection to a debug adapter.

    Attributes:
        events: What has been received and not been waited for.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._stream = connection.makefile("rb")
        self._connection = connection
        self._number = 0
        self.events: list[Message] = []
        self._responses: dict[int, Message] = {}

    def send(self, command: str, **arguments: object) -> int:
        """Send a request, and return its number."""
        self._number += 1
        message = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        content = json.dumps(message).encode()
        self._connection.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(content), content))
        return self._number

    def call(self, command: str, **arguments: object) -> Message:
        """Send a request, and return the body of its response."""
        return self.answer(self.send(command, **arguments))

    def answer(self, number: int) -> Message:
        """Return the body of the response to a request, which must have succeeded."""
        while number not in self._responses:
            self._receive()
        response = self._responses.pop(number)
        assert response["success"], response
        return dict(response.get("body") or {})

    def wait_for(self, event: str) -> Message:
        """Return the body of the next event of a kind."""
        while True:
            for index, message in enumerate(self.events):
                if message["event"] == event:
                    del self.events[: index + 1]
                    return dict(message.get("body") or {})
            self._receive()

    def _receive(self) -> None:
        """Receive a message, within the timeout of the connection."""
        header = self._stream.readline()
        assert header, f"the connection was closed: {self.events}"
        length = int(header.split(b":")[1])
        assert self._stream.readline() == b"\r\n"
        message: Message = json.loads(self._stream.read(length))
        if message["type"] == "response":
            self._responses[int(message["request_seq"])] = message
        else:
            self.events.append(message)

    def attach(self, configuration: Message, breakpoints: dict[Path, list[int]]) -> None:
        """Attach as an editor does with a configuration of its launch file, and set breakpoints in files."""
        self.call("initialize", adapterID="debugpy", pathFormat="path", linesStartAt1=True, columnsStartAt1=True)
        attached = self.send("attach", **configuration)
        self.wait_for("initialized")
        for file, lines in breakpoints.items():
            self.set_breakpoints(file, lines)
        self.call("configurationDone")
        self.answer(attached)

    def set_breakpoints(self, file: Path, lines: list[int]) -> None:
        """Replace the breakpoints of a file."""
        body = self.call("setBreakpoints", source={"path": str(file)}, breakpoints=[{"line": one} for one in lines])
        assert [one["verified"] for one in body["breakpoints"]] == [True] * len(lines), body

    def wait_until_stopped(self) -> tuple[int, list[Message]]:
        """Wait until a thread stands at a breakpoint; return its id and its frames."""
        thread = int(self.wait_for("stopped")["threadId"])
        return thread, list(self.call("stackTrace", threadId=thread)["stackFrames"])

    def local_variables(self, frame: Message) -> dict[str, str]:
        """Return the local variables of a frame, as they are shown."""
        scopes = self.call("scopes", frameId=frame["id"])["scopes"]
        [local] = [one for one in scopes if one["name"] == "Locals"]
        variables = self.call("variables", variablesReference=local["variablesReference"])["variables"]
        return {str(one["name"]): str(one["value"]) for one in variables}


@contextmanager
def debug_client(port: int) -> Iterator[DebugClient]:
    """Connect to a debug adapter of this machine, and close the connection at the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT) as connection:
        client = DebugClient(connection)
        try:
            yield client
        finally:
            client._stream.close()
