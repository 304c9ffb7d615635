"""The other end of control's socket, for tests of the protocol itself: what arrives is kept, answers are chosen.

Tests of behaviour use the real data plane; here a deployment can be held back, refused or never answered.
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

__all__ = ["DataPlanePeer", "connected_peer"]


@dataclass(slots=True)
class DataPlanePeer:
    """``refusal`` says why a route cannot start; ``hold`` keeps starts unanswered, ``deaf`` everything."""

    path: str
    refusal: Callable[[Route], str | None] = lambda _route: None
    hold: bool = False
    deaf: bool = False
    received: list[ControlMessage] = field(default_factory=list)
    _line: socket.socket | None = None
    _thread: threading.Thread | None = None

    def connect(self) -> None:
        self._line = socket.socket(socket.AF_UNIX)
        self._line.connect(self.path)
        self._thread = threading.Thread(target=self._listen, args=(self._line,), daemon=True)
        self._thread.start()
        self.say(Handshake(pid=1, gateway_port=1, isolation="test"))
        wait_until(lambda: any(isinstance(one, Snapshot) for one in self.received))

    def close(self) -> None:
        if self._line is not None and self._thread is not None:
            self._line.shutdown(socket.SHUT_RDWR)
            self._line.close()
            self._thread.join(60)

    def say(self, message: DataPlaneMessage) -> None:
        assert self._line is not None
        self._line.sendall(encode_frame(message))

    def answer(self, upsert: UpsertRoute) -> None:
        route = upsert.route
        fault = self.refusal(route)
        if fault is None:
            self.say(DeploymentStarted(function_id=route.function_id, generation=route.generation))
        else:
            self.say(DeploymentFailed(function_id=route.function_id, generation=route.generation, message=fault))

    @property
    def upserts(self) -> list[UpsertRoute]:
        return [message for message in list(self.received) if isinstance(message, UpsertRoute)]

    @property
    def snapshot(self) -> Snapshot:
        return next(message for message in list(self.received) if isinstance(message, Snapshot))

    def _listen(self, line: socket.socket) -> None:
        stream = line.makefile("rb")
        try:
            while len(head := stream.read(4)) == 4:
                size = int.from_bytes(head, "big")
                payload = stream.read(size)
                if len(payload) < size:  # one that was killed may have said half of something
                    return
                message = decode_control_message(payload)
                self.received.append(message)
                if self.deaf:
                    continue
                self.say(Ack(version=message.version))
                if isinstance(message, Snapshot):
                    self.say(DataPlaneHealthy(version=message.version))
                if isinstance(message, UpsertRoute) and not self.hold:
                    self.answer(message)
        except OSError:
            return
        finally:
            stream.close()


@contextmanager
def connected_peer(
    path: str, *, hold: bool = False, refusal: Callable[[Route], str | None] = lambda _route: None
) -> Iterator[DataPlanePeer]:
    """A peer on control's socket."""
    peer = DataPlanePeer(path, refusal=refusal, hold=hold)
    peer.connect()
    try:
        yield peer
    finally:
        peer.close()
