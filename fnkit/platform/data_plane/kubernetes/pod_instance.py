"""An instance that is a Pod: the gateway's connection to the core runtime in its container.

It has started when the core runtime, which accepts connections once the handler is imported, answers a request that
calls no handler. It has *ended* when its Pod has, or is deleted; a Pod that cannot be reached is deleted.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from time import monotonic
from typing import Final

import msgspec

from fnkit.platform.data_plane.instance import Instance, InstanceState
from fnkit.platform.data_plane.instance_connection import (
    ConnectedInstance,
    InstanceEnded,
    ProtocolViolation,
    ResponseReader,
)
from fnkit.platform.data_plane.kubernetes.pod_state import PodState
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.routing import Route

_NO_CONTENT: Final = 204
_IMPORT_ERROR_HEADER: Final = b"fnkit-import-error"
_SILENT: Final = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)
_STATUS_SECONDS: Final = 3.0  # the kubelet notices the end of a container within a second
_KILLED: Final = "killed by signal 9"  # also what a container that is out of memory looks like from inside
_DELETED: Final = "its Pod was deleted"
_UNREACHABLE: Final = "it cannot be reached"
_KEEPALIVE_IDLE: Final = 2
_KEEPALIVE_INTERVAL: Final = 2
_KEEPALIVE_PROBES: Final = 3
_UNACKNOWLEDGED_MILLISECONDS: Final = 8000


class PodInstance(ConnectedInstance):
    """An ``Instance`` that is a Pod.

    Args:
        name: The name of the Pod.
        route: Its deployment.
        key: What it is shown with each request.
        logs: Receives messages about its requests.
        on_kill: Called once, when its Pod is to be deleted.

    Attributes:
        route: Its deployment.
        state_of_pod: The last known state of its Pod.
        scheduled: Done when a node was chosen, or it ended.
        addressed: Done when it has an address, or it ended.
        pull_failed_since: Since when its image cannot be pulled (``time.monotonic``); 0 while it can.
        start_seconds: How long its start may take.
        has_lost_node: Whether it ended because its node stopped answering.
        is_exiting: Whether its container exits, so that its log is read to the end first.
    """

    def __init__(
        self,
        name: str,
        route: Route,
        key: str,
        logs: LogWriter,
        on_kill: Callable[[PodInstance], None],
    ) -> None:
        super().__init__(name, InstanceState.STARTING, logs, ResponseReader(reads_end=True))
        self.route = route
        self.state_of_pod = PodState()
        self.scheduled: asyncio.Future[None] = self._loop.create_future()
        self.addressed: asyncio.Future[None] = self._loop.create_future()
        self.pull_failed_since = 0.0
        self.start_seconds = 0.0
        self.has_lost_node = False
        self.is_exiting = False
        self.start_began_at = monotonic()
        self._function_id = route.function_id
        self._lines = f"\r\nhost: function\r\nfnkit-instance-key: {key}".encode()
        self._on_kill = on_kill
        self._is_disconnected = False
        self._is_kill_reported = False

    def serve(self, on_idle: Callable[[Instance], None]) -> None:
        """Set what is called when it has completed a response."""
        self._on_idle = on_idle

    @property
    def is_terminating(self) -> bool:
        """Whether it is about to end, so that it must get no request."""
        return bool(self.reason) or self._is_disconnected

    @property
    def is_connected(self) -> bool:
        """Whether its core runtime has accepted the connection, which is not lost."""
        return self._transport is not None and not self._is_disconnected

    # Its Pod

    def on_state(self, state: PodState) -> None:
        """Use the state of its Pod."""
        self.state_of_pod = state
        if state.is_scheduled:
            _complete(self.scheduled)
        if state.address:
            _complete(self.addressed)
        if not state.pull_failure:
            self.pull_failed_since = 0.0
        elif not self.pull_failed_since:
            self.pull_failed_since = monotonic()
        if state.end:
            self.is_exiting = True
            self.was_killed_externally = state.was_disrupted and not self.reason
            self._report_kill()
            self._end(self.reason if self.reason and self.reason != _KILLED else state.end)
        elif state.is_being_deleted:
            self.was_killed_externally = self.was_killed_externally or not self.reason
            self.kill(_DELETED)
        elif state.start_failure:
            self.kill(state.start_failure)

    def on_deleted(self) -> None:
        """Note that its Pod is gone."""
        if not self.reason:
            self.was_killed_externally = True
        self._report_kill()
        self._end(self.reason or _DELETED)

    def kill(self, reason: str) -> None:
        """Delete its Pod. ``ended`` follows."""
        self.reason = self.reason or reason
        if self._transport is not None:
            self._transport.abort()
        self._report_kill()

    def _report_kill(self) -> None:
        if not self._is_kill_reported:
            self._is_kill_reported = True
            self._on_kill(self)

    def _end(self, reason: str) -> None:
        self.reason = self.reason or reason
        _complete(self.scheduled)
        _complete(self.addressed)
        self._finish(reason)

    # Its connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask whether it can answer requests."""
        super().connection_made(transport)
        _detect_lost_peer(transport.get_extra_info("socket"))
        self._response_reader.expect(None)
        if self._transport is not None:
            self._transport.write(self._response_reader.encode_get(self._lines))

    def _on_start_data(self, data: bytes) -> None:
        try:
            if not self._response_reader.feed(data):
                return
        except ProtocolViolation as violation:
            self._on_violation(violation)
            return
        status = self._response_reader.status
        if status != _NO_CONTENT:
            self.kill(f"not started: it answered {status}")
            return
        self.import_error = _import_error(self._response_reader.header(_IMPORT_ERROR_HEADER))
        self._note_ready()
        if not self.started.done():
            self.started.set_result(True)

    def _encode_head(self, content_length: int) -> bytes:
        lines = self._lines + f"\r\nfnkit-request-id: {self._request_id}".encode()
        return self._response_reader.encode_head(content_length, lines)

    def _on_violation(self, violation: ProtocolViolation) -> None:
        """Handle the end that the core runtime reports instead of a response, or what is none."""
        reason = str(violation)
        if not isinstance(violation, InstanceEnded):
            self.kill(reason)
        elif reason == _KILLED:
            self._await_end(reason)
        else:
            self.is_exiting = True
            self.kill(reason)
            self._end(reason)

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the end of the connection: its container has ended, or its node cannot be reached."""
        if self.reason or self.state is InstanceState.ENDED:
            return
        if isinstance(error, OSError) and error.errno in _SILENT:
            self.lose_node()
        else:
            self._await_end(_UNREACHABLE)

    def lose_node(self) -> None:
        """End it because its node has stopped answering."""
        self.has_lost_node = True
        self._is_disconnected = True
        self._give_up(_UNREACHABLE)

    def _await_end(self, reason: str) -> None:
        """Wait for the state of its Pod, which says more, and delete the Pod if none follows."""
        self._is_disconnected = True
        self._loop.call_later(_STATUS_SECONDS, self._give_up, reason)

    def _give_up(self, reason: str) -> None:
        if self.state is InstanceState.ENDED or self.reason:
            return
        self.was_killed_externally = reason == _UNREACHABLE
        self.kill(reason)
        self._end(reason)  # if the API server is away, its request must not wait for the end of the Pod


def _import_error(header: bytes | None) -> str:
    """Return why the handler could not be imported, which the core runtime states as a JSON string."""
    try:
        return msgspec.json.decode(header, type=str) if header is not None else ""
    except msgspec.DecodeError:
        return ""


def _complete(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _detect_lost_peer(connection: socket.socket) -> None:
    """Let the kernel end the connection within seconds after the node of the Pod is lost."""
    for option, value in (
        (socket.TCP_NODELAY, 1),
        (socket.TCP_KEEPIDLE, _KEEPALIVE_IDLE),
        (socket.TCP_KEEPINTVL, _KEEPALIVE_INTERVAL),
        (socket.TCP_KEEPCNT, _KEEPALIVE_PROBES),
        (socket.TCP_USER_TIMEOUT, _UNACKNOWLEDGED_MILLISECONDS),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
