"""The control plane's side of the socket to the data plane.

The data plane connects to a Unix socket and first proves that it is the data plane, because routes contain secrets.
Control then sends a snapshot of all routes, then numbered changes, which the data plane acks. Without a data plane,
changes need not be sent at all: the next snapshot contains them.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from fnkit.platform.model import routing
from fnkit.platform.peers import HasDescriptor, is_own_process

_MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
_MAX_HANDSHAKE_BYTES: Final = 4096
_HANDSHAKE_TIMEOUT: Final = 10.0
_logger = logging.getLogger(__name__)

ACK_TIMEOUT: Final = 2.0
"""Longest wait for the data plane's ack of a change, in seconds of real time.

An API request should not hang because the data plane does.
"""


class ConnectionLost:
    """The connection closed before the data plane reported a result."""


_StartResult: TypeAlias = routing.DeploymentStarted | routing.DeploymentFailed | ConnectionLost


class DataPlaneConnection:
    """A connection to a data plane. Not thread-safe.

    Attributes:
        hello: The data plane's first message, ``None`` until it arrives.
        healthy: Whether the data plane reported that all instances required by ``min_scale`` run.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peer: HasDescriptor = writer.get_extra_info("socket")
        self._reader = reader
        self._writer = writer
        self._pending_acks: dict[int, asyncio.Future[None]] = {}
        self._pending_starts: dict[tuple[str, int], asyncio.Future[_StartResult]] = {}
        self._closed = False
        self.hello: routing.Handshake | None = None
        self.healthy = False

    def send(self, message: routing.ControlMessage) -> None:
        """Write a message. Does nothing on a closed connection."""
        if not self._closed:
            self._writer.write(routing.encode_frame(message))

    async def send_and_wait_for_acks(self, messages: Sequence[routing.ControlMessage]) -> None:
        """Send messages and wait for their acks, for at most ``ACK_TIMEOUT``.

        Also returns if the connection closes meanwhile: the next data plane receives the changes in its snapshot,
        so there is nothing left to wait for.

        Args:
            messages: Messages with distinct versions, at least one.
        """
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        futures = {message.version: loop.create_future() for message in messages}
        self._pending_acks.update(futures)
        for message in messages:
            self.send(message)
        try:
            await asyncio.wait(futures.values(), timeout=ACK_TIMEOUT)
        finally:
            for version in futures:
                self._pending_acks.pop(version, None)

    async def start(self, message: routing.UpsertRoute) -> _StartResult:
        """Send a deployment and wait for its first instance.

        A newer generation of the same function replaces this one in the data plane, which then never reports a
        result: the call returns only when the connection closes, or is cancelled by the caller.
        """
        if self._closed:
            return ConnectionLost()
        key = (message.route.function_id, message.route.generation)
        future: asyncio.Future[_StartResult] = asyncio.get_running_loop().create_future()
        self._pending_starts[key] = future
        self.send(message)
        try:
            return await future
        finally:
            # A second call for the same generation may have replaced the future.
            if self._pending_starts.get(key) is future:
                del self._pending_starts[key]

    async def authenticate(self, secret: str) -> bool:
        """Return whether the peer is a process of this platform whose first message contains the secret."""
        if not is_own_process(self._peer):
            return False
        try:
            async with asyncio.timeout(_HANDSHAKE_TIMEOUT):
                message = await self._read_message(_MAX_HANDSHAKE_BYTES)
        except TimeoutError:
            return False
        if not isinstance(message, routing.Handshake):
            return False
        self.hello = message
        return hmac.compare_digest(message.secret.encode(), secret.encode())

    async def read_messages(self) -> None:
        """Read and handle messages until the connection closes or a message is invalid."""
        while (message := await self._read_message(_MAX_FRAME_BYTES)) is not None:
            self._handle(message)

    async def _read_message(self, max_bytes: int) -> routing.DataPlaneMessage | None:
        """Return the next message; ``None`` if the connection closes, or the message is too large or invalid."""
        try:
            length = int.from_bytes(await self._reader.readexactly(routing.FRAME_LENGTH_BYTES), "big")
            if length > max_bytes:
                _logger.error("Closing the connection to the data plane: received a frame of %d bytes.", length)
                return None
            return routing.decode_data_plane_message(await self._reader.readexactly(length))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except msgspec.MsgspecError as error:
            _logger.warning("Closing the connection to the data plane: received an invalid message: %s", error)
            return None

    def close(self) -> None:
        """Close the connection and wake all waiters: acks count as received, starts return ``ConnectionLost``."""
        self._closed = True
        self._writer.close()
        for ack in self._pending_acks.values():
            if not ack.done():
                ack.set_result(None)
        for start in self._pending_starts.values():
            if not start.done():
                start.set_result(ConnectionLost())

    def _handle(self, message: routing.DataPlaneMessage) -> None:
        match message:
            case routing.Handshake():
                pass  # only the first message counts
            case routing.DataPlaneHealthy():
                self.healthy = True
            case routing.Ack(version=version):
                if (ack := self._pending_acks.get(version)) is not None and not ack.done():
                    ack.set_result(None)
            case routing.DeploymentStarted() | routing.DeploymentFailed():
                start = self._pending_starts.get((message.function_id, message.generation))
                if start is not None and not start.done():
                    start.set_result(message)
            case routing.InstanceExited(function_id=function_id, reason=reason):
                _logger.info("An instance of function %s exited: %s", function_id, reason)


class DataPlaneLink:
    """The link to the most recently connected data plane. Not thread-safe.

    Without a data plane, ``start_deployment`` waits for one, and all other changes are part of its snapshot.

    Args:
        path: The Unix socket.
        routes: Returns the routes of all serving deployments.
        clock: Returns the state of the platform's clock.
        credentials: Returns the credentials that grant access to private functions.
        secret: What the data plane has to say first.
    """

    def __init__(
        self,
        path: Path,
        routes: Callable[[], tuple[routing.Route, ...]],
        clock: Callable[[], routing.ClockState],
        credentials: Callable[[], routing.AcceptedCredentials],
        secret: str,
    ) -> None:
        self._path = path
        self._secret = secret
        self._get_routes = routes
        self._get_clock = clock
        self._get_credentials = credentials
        self._version = 0
        # Hostnames that changed while a deployment may be waiting for a data plane with the old ones in its route.
        self._hosts: dict[str, tuple[str, ...]] = {}
        self._server: asyncio.Server | None = None
        self._current: DataPlaneConnection | None = None
        self._connected_event = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether a data plane is connected."""
        return self._current is not None

    @property
    def healthy(self) -> bool:
        """Whether the data plane runs all instances that ``min_scale`` requires for the routes of its snapshot."""
        return self._current is not None and self._current.healthy

    @property
    def isolation(self) -> str | None:
        """The isolation level in force, ``None`` until the data plane reported it."""
        return self._current.hello.isolation if self._current and self._current.hello else None

    @property
    def can_replace_files(self) -> bool:
        """Whether instances in Python can replace files of the code that they see, for themselves."""
        return bool(self._current and self._current.hello and self._current.hello.can_replace_files)

    @property
    def data_plane_pid(self) -> int:
        """Process id of the data plane, 0 while none is connected."""
        return self._current.hello.pid if self._current and self._current.hello else 0

    async def open(self) -> None:
        """Listen on the socket, which only the platform's user can connect to (0600)."""
        self._path.unlink(missing_ok=True)
        # A chmod after bind would leave a moment in which other users could connect.
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Close the socket and the connection. The data plane continues to serve its current routes."""
        if self._server is not None:
            self._server.close()
        if self._current is not None:
            self._current.close()
        self._path.unlink(missing_ok=True)

    async def start_deployment(self, route: routing.Route) -> routing.DeploymentStarted | routing.DeploymentFailed:
        """Start a deployment in the data plane; repeat this with each new data plane until there is a result.

        Returns:
            That an instance runs and the route is in force, or that no instance started.
        """
        while True:
            connection = await self._wait_for_connection()
            if (hosts := self._hosts.get(route.function_id)) is not None:
                route = msgspec.structs.replace(route, hosts=hosts)
            outcome = await connection.start(routing.UpsertRoute(version=self._next_version(), route=route))
            match outcome:
                case ConnectionLost():
                    continue
                case _:
                    return outcome

    def prestart(self, language: str, interpreter: str, memory: int) -> None:
        """Let the data plane prepare for a deployment with this interpreter. Without a data plane, do nothing."""
        if self._current is not None:
            message = routing.PrestartInterpreter(
                version=self._next_version(), language=language, interpreter=interpreter, memory=memory
            )
            self._current.send(message)

    async def rename(self, function_id: str, hosts: tuple[str, ...]) -> None:
        """Replace the hostnames of a function. Return after the ack or ``ACK_TIMEOUT``."""
        self._hosts[function_id] = hosts
        await self._send(routing.HostsChanged(version=self._next_version(), function_id=function_id, hosts=hosts))

    async def remove(self, *function_ids: str) -> None:
        """Stop serving functions. Return after all acks or ``ACK_TIMEOUT``."""
        for function_id in function_ids:
            self._hosts.pop(function_id, None)
        messages = [routing.RemoveFunction(version=self._next_version(), function_id=one) for one in function_ids]
        await self._send(*messages)

    async def change_credentials(
        self,
        *,
        public_key: str | None = None,
        issued: tuple[str, ...] = (),
        revoked: tuple[str, ...] = (),
        keys: tuple[routing.KeyGrant, ...] | None = None,
    ) -> None:
        """Change the credentials that grant access to private functions. Return after the ack or ``ACK_TIMEOUT``.

        Args:
            public_key: The key that verifies tokens, in PEM; ``None`` leaves it unchanged.
            issued: Ids of new tokens.
            revoked: Ids of deleted tokens.
            keys: All additional API keys; ``None`` leaves them unchanged.
        """
        await self._send(
            routing.CredentialsChanged(
                version=self._next_version(), public_key=public_key, issued=issued, revoked=revoked, keys=keys
            )
        )

    async def update_clock(self) -> None:
        """Send the clock's new state. Return once tasks that became due have started, or after ``ACK_TIMEOUT``."""
        await self._send(routing.ClockChanged(version=self._next_version(), clock=self._get_clock()))

    async def _send(self, *messages: routing.ControlMessage) -> None:
        """Send changes and wait for their acks. Without a data plane there is nothing to do."""
        if self._current is not None and messages:
            await self._current.send_and_wait_for_acks(messages)

    async def _wait_for_connection(self) -> DataPlaneConnection:
        while self._current is None:
            await self._connected_event.wait()
        return self._current

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = DataPlaneConnection(reader, writer)
        if not await connection.authenticate(self._secret):
            _logger.warning("Closing a connection to the control socket that is not the data plane's.")
            connection.close()
            return
        # A second connection means that the data plane was restarted before the first one was seen to close.
        if self._current is not None:
            self._current.close()
        connection.send(
            routing.Snapshot(
                version=self._next_version(),
                clock=self._get_clock(),
                routes=self._get_routes(),
                credentials=self._get_credentials(),
            )
        )
        self._current = connection
        self._connected_event.set()
        _logger.info("The data plane connected.")
        try:
            await connection.read_messages()
        finally:
            connection.close()
            if self._current is connection:
                self._current = None
                self._connected_event.clear()
                _logger.warning("The data plane disconnected.")

    def _next_version(self) -> int:
        self._version += 1
        return self._version
