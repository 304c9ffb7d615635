"""The control plane's side of the socket to the data plane.

The data plane connects to a Unix socket. Control sends a snapshot of all routes, then numbered changes, which the
data plane acks. Without a data plane, changes need not be sent at all: the next snapshot contains them.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.connection import DataPlaneConnection, ConnectionLost
from fnkit.platform.routing import (
    ClockState,
    ClockChanged,
    AcceptedCredentials,
    CredentialsChanged,
    DeploymentFailed,
    HostsChanged,
    KeyGrant,
    RemoveFunction,
    Route,
    Snapshot,
    UpsertRoute,
)

__all__ = ["ACK_TIMEOUT", "DataPlaneLink"]

ACK_TIMEOUT: Final = 2.0
"""Longest wait for the data plane's ack of a change, in seconds of real time.

An API request should not hang because the data plane does.
"""

_logger = logging.getLogger(__name__)


class DataPlaneLink:
    """The link to the most recently connected data plane. Not thread-safe.

    Without a data plane, ``start_deployment`` waits for one, and all other changes are part of its snapshot.

    Args:
        path: The Unix socket.
        routes: Returns the routes of all serving deployments.
        clock: Returns the state of the platform's clock.

    Attributes:
        get_credentials: Returns the credentials that grant access to private functions. Set it before ``open``.
    """

    def __init__(
        self, path: Path, routes: Callable[[], tuple[Route, ...]], clock: Callable[[], ClockState]
    ) -> None:
        self._path = path
        self._get_routes = routes
        self._get_clock = clock
        self.get_credentials: Callable[[], AcceptedCredentials] = AcceptedCredentials
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
        hello = self._current.hello if self._current else None
        return hello.isolation if hello else None

    @property
    def data_plane_pid(self) -> int:
        """Process id of the data plane, 0 while none is connected."""
        hello = self._current.hello if self._current else None
        return hello.pid if hello else 0

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

    async def start_deployment(self, route: Route) -> str | None:
        """Start a deployment in the data plane; repeat this with each new data plane until there is a result.

        Returns:
            ``None`` once an instance runs and the route is in force, else the reason why no instance started.
        """
        while True:
            connection = await self._wait_for_connection()
            if (hosts := self._hosts.get(route.function_id)) is not None:
                route = msgspec.structs.replace(route, hosts=hosts)
            outcome = await connection.start(UpsertRoute(version=self._next_version(), route=route))
            match outcome:
                case ConnectionLost():
                    continue
                case DeploymentFailed(message=message):
                    return message
                case _:
                    return None

    async def rename(self, function_id: str, hosts: tuple[str, ...]) -> None:
        """Replace the hostnames of a function. Return after the ack or ``ACK_TIMEOUT``."""
        self._hosts[function_id] = hosts
        if (connection := self._current) is not None:
            message = HostsChanged(version=self._next_version(), function_id=function_id, hosts=hosts)
            await connection.send_and_wait_for_acks([message], ACK_TIMEOUT)

    async def remove(self, *function_ids: str) -> None:
        """Stop serving functions. Return after all acks or ``ACK_TIMEOUT``."""
        for function_id in function_ids:
            self._hosts.pop(function_id, None)
        messages = [
            RemoveFunction(version=self._next_version(), function_id=function_id) for function_id in function_ids
        ]
        if (connection := self._current) is not None and messages:
            await connection.send_and_wait_for_acks(messages, ACK_TIMEOUT)

    async def change_credentials(
        self,
        *,
        public_key: str | None = None,
        issued: tuple[str, ...] = (),
        revoked: tuple[str, ...] = (),
        keys: tuple[KeyGrant, ...] | None = None,
    ) -> None:
        """Change the credentials that grant access to private functions. Return after the ack or ``ACK_TIMEOUT``.

        Args:
            public_key: The key that verifies tokens, in PEM; ``None`` leaves it unchanged.
            issued: Ids of new tokens.
            revoked: Ids of deleted tokens.
            keys: All additional API keys; ``None`` leaves them unchanged.
        """
        if (connection := self._current) is not None:
            message = CredentialsChanged(
                version=self._next_version(), public_key=public_key, issued=issued, revoked=revoked, keys=keys
            )
            await connection.send_and_wait_for_acks([message], ACK_TIMEOUT)

    async def update_clock(self) -> None:
        """Send the clock's new state. Return once tasks that became due have started, or after ``ACK_TIMEOUT``."""
        if (connection := self._current) is not None:
            message = ClockChanged(version=self._next_version(), clock=self._get_clock())
            await connection.send_and_wait_for_acks([message], ACK_TIMEOUT)

    async def _wait_for_connection(self) -> DataPlaneConnection:
        while self._current is None:
            await self._connected_event.wait()
        return self._current

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = DataPlaneConnection(reader, writer)
        # A second connection means that the data plane was restarted before the first one was seen to close.
        if self._current is not None:
            self._current.close()
        connection.send(
            Snapshot(
                version=self._next_version(),
                clock=self._get_clock(),
                routes=self._get_routes(),
                credentials=self.get_credentials(),
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
