"""A client of a core runtime that sends and reads what the platform's gateway does."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from fnkit.platform.data_plane.instance_connection import ResponseReader
from fnkit.platform.data_plane.interface import PendingRequest, RequestFailure, ResponseHeaders
from tests.support.core_runtime import CoreRuntimeProcess, starting_core_runtime
from tests.support.waiting import DEADLINE

__all__ = [
    "INSTANCE_KEY",
    "InstanceClient",
    "InstanceResponse",
    "is_silent",
    "running_instance",
    "starting_instance",
]

INSTANCE_KEY = "3d7c2f0e"


@dataclass
class InstanceResponse:
    """A response, or what has arrived of it."""

    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    raw: bytes = b""
    closes: bool = False
    _body: list[bytes] = field(default_factory=list)

    def on_assigned(self, request: PendingRequest) -> None:
        raise NotImplementedError

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        self.status, self.headers = status, dict(headers)

    def on_response_data(self, data: bytes) -> None:
        self._body.append(data)

    def on_response_end(self) -> None:
        raise NotImplementedError

    def on_failure(self, failure: RequestFailure) -> None:
        raise NotImplementedError

    @property
    def body(self) -> bytes:
        return b"".join(self._body)

    @property
    def head(self) -> bytes:
        """The bytes before the last header, which is the nonce."""
        return self.raw.partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[0]

    @property
    def last_header(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0].rpartition(b"\r\n")[2]


class InstanceClient:
    """One connection to a core runtime."""

    def __init__(self, runtime: CoreRuntimeProcess) -> None:
        self.peer = runtime.connect()
        self.nonce_line = b""
        self._reader = ResponseReader()
        self._response = InstanceResponse()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.peer.close()

    def send(self, event: object, *, request_id: str = "r", key: str = INSTANCE_KEY, more: str = "") -> None:
        """Send a request. ``more``: further header lines."""
        body = json.dumps({"event": event, "context": {"a": 1}}).encode()
        self._send("POST", body, f"fnkit-instance-key: {key}\r\nfnkit-request-id: {request_id}\r\n{more}")

    def send_probe(self, *, key: str = INSTANCE_KEY) -> None:
        """Ask whether the worker is idle."""
        self._send("GET", b"", f"fnkit-instance-key: {key}\r\n")

    def _send(self, method: str, body: bytes, lines: str) -> None:
        self._response = InstanceResponse()
        self._reader.expect(self._response)
        head = self._reader.encode_head(len(body)).partition(b"\r\n")[2]
        self.nonce_line = next(line for line in head.split(b"\r\n") if line.startswith(b"fnkit-request:"))
        self.peer.sendall(f"{method} / HTTP/1.1\r\nhost: a\r\n{lines}".encode() + head + body)

    def receive(self) -> InstanceResponse:
        """Return the response, of which every rule of the gateway holds.

        Raises:
            ConnectionError: The connection was closed before the end of the response.
        """
        response, received = self._response, []
        is_complete = False
        while not is_complete:
            received.append(self.peer.recv(65536))
            if not received[-1]:
                raise ConnectionError(b"".join(received))
            is_complete = self._reader.feed(received[-1])
        response.raw = b"".join(received)
        assert not self._reader.has_trailing_data, response.raw
        assert response.last_header == self.nonce_line
        response.closes = self._reader.connection_close
        return response

    def call(self, event: object, *, request_id: str = "r") -> InstanceResponse:
        self.send(event, request_id=request_id)
        return self.receive()


@contextlib.contextmanager
def starting_instance(
    source: str | Mapping[str, str],
    *,
    age: str = "newest",
    language: str = "Python",
    launcher: str = "",
    memory: int = 256,
    **settings: str,
) -> Iterator[CoreRuntimeProcess]:
    """Start a core runtime with an instance key."""
    all_settings = {"FNKIT_INSTANCE_KEY": INSTANCE_KEY, **settings}
    with starting_core_runtime(
        source, age=age, language=language, launcher=launcher, memory=memory, settings=all_settings
    ) as running:
        yield running


@contextlib.contextmanager
def running_instance(
    source: str | Mapping[str, str],
    *,
    age: str = "newest",
    language: str = "Python",
    launcher: str = "",
    memory: int = 256,
    **settings: str,
) -> Iterator[CoreRuntimeProcess]:
    """Like ``starting_instance``, but wait until it listens."""
    with starting_instance(
        source, age=age, language=language, launcher=launcher, memory=memory, **settings
    ) as running:
        running.wait_until_listening()
        yield running


def is_silent(peer: socket.socket) -> bool:
    """Return whether nothing has arrived that was not read."""
    peer.settimeout(0)
    try:
        return not peer.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    finally:
        peer.settimeout(DEADLINE)
