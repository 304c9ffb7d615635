"""A fake data plane for tests of the control protocol: it records messages, and a test chooses its responses.

Tests of behaviour use the real data plane. This one can delay a deployment, fail it, or never respond.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fnkit.platform.model.routing import (
    Ack,
    ControlMessage,
    DataPlaneHealthy,
    DataPlaneMessage,
    DeploymentFailed,
    DeploymentStarted,
    Handshake,
    Route,
    Snapshot,
    UpsertRoute,
    decode_control_message,
    encode_frame,
)
from tests.support.waiting import wait_until

__all__ = ["FakeDataPlane", "connected_data_plane"]


@dataclass(slots=True)
class FakeDataPlane:
    """A client of control's socket.

    Attributes:
        path: The socket.
        start_error: Returns why a deployment fails, or ``None``.
        secret: What it says first.
        isolation: The isolation level that it reports.
        hold_deployments: Whether deployments get no response until ``respond``.
        ignore_messages: Whether no message gets a response.
        received: All messages from control.
    """

    path: str
    start_error: Callable[[Route], str | None] = lambda _route: None
    secret: str = ""
    isolation: str = "test"
    hold_deployments: bool = False
    ignore_messages: bool = False
    received: list[ControlMessage] = field(default_factory=list)
    _socket: socket.socket | None = None
    _thread: threading.Thread | None = None

    def connect(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(self.path)
        self._thread = threading.Thread(target=self._read, args=(self._socket,), daemon=True)
        self._thread.start()
        self.send(Handshake(secret=self.secret, pid=1, gateway_port=1, isolation=self.isolation))
        wait_until(lambda: any(isinstance(one, Snapshot) for one in self.received))

    def close(self) -> None:
        if self._socket is not None and self._thread is not None:
            self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._thread.join(60)

    def send(self, message: DataPlaneMessage) -> None:
        assert self._socket is not None
        self._socket.sendall(encode_frame(message))

    def respond(self, upsert: UpsertRoute) -> None:
        route = upsert.route
        fault = self.start_error(route)
        if fault is None:
            self.send(DeploymentStarted(function_id=route.function_id, generation=route.generation))
        else:
            self.send(DeploymentFailed(function_id=route.function_id, generation=route.generation, message=fault))

    @property
    def upserts(self) -> list[UpsertRoute]:
        return [message for message in list(self.received) if isinstance(message, UpsertRoute)]

    @property
    def snapshot(self) -> Snapshot:
        return next(message for message in list(self.received) if isinstance(message, Snapshot))

    def _read(self, line: socket.socket) -> None:
        stream = line.makefile("rb")
        try:
            while len(head := stream.read(4)) == 4:
                size = int.from_bytes(head, "big")
                payload = stream.read(size)
                if len(payload) < size:  # control was killed while it wrote the message
                    return
                message = decode_control_message(payload)
                self.received.append(message)
                if self.ignore_messages:
                    continue
                self.send(Ack(version=message.version))
                if isinstance(message, Snapshot):
                    self.send(DataPlaneHealthy(version=message.version))
                if isinstance(message, UpsertRoute) and not self.hold_deployments:
                    self.respond(message)
        except OSError:
            return
        finally:
            stream.close()


@contextmanager
def connected_data_plane(
    path: str,
    *,
    hold_deployments: bool = False,
    start_error: Callable[[Route], str | None] = lambda _route: None,
    isolation: str = "test",
) -> Iterator[FakeDataPlane]:
    """Connect to control's socket."""
    peer = FakeDataPlane(path, start_error=start_error, hold_deployments=hold_deployments, isolation=isolation)
    peer.connect()
    try:
        yield peer
    finally:
        peer.close()
