"""Control's end of the socket to the data plane: a snapshot on connect, then numbered deltas (decision 18)."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from fnkit.platform.control.connection import Connection, Lost
from fnkit.platform.routing import (
    Clock,
    ClockChanged,
    Credentials,
    CredentialsChanged,
    Failed,
    Hosts,
    KeyGrant,
    Remove,
    Route,
    Snapshot,
    Upsert,
)

__all__ = ["ACK_SECONDS", "DataPlaneLink"]

ACK_SECONDS: Final = 2.0
"""How long a control write waits for the data plane's ack at most (decision 18)."""

_logger = logging.getLogger(__name__)


class DataPlaneLink:
    """The newest data plane that connected. Without one, starts wait and the rest is told by the next snapshot.

    ``credentials`` says what opens private functions; whoever keeps them sets it before ``open``.
    """

    def __init__(self, path: Path, routes: Callable[[], tuple[Route, ...]], clock: Callable[[], Clock]) -> None:
        self._path = path
        self._routes = routes
        self._clock = clock
        self.credentials: Callable[[], Credentials] = Credentials
        self._version = 0
        self._hosts: dict[str, tuple[str, ...]] = {}  # the newest names of functions whose names changed
        self._server: asyncio.Server | None = None
        self._current: Connection | None = None
        self._arrived = asyncio.Event()

    @property
    def connected(self) -> bool:
        """Whether a data plane is there."""
        return self._current is not None

    @property
    def healthy(self) -> bool:
        """Whether it has every ``min_scale`` instance of its snapshot up (decision 25)."""
        return self._current is not None and self._current.healthy

    @property
    def isolation(self) -> str | None:
        """The isolation level in force, once the data plane has introduced itself."""
        hello = self._current.hello if self._current else None
        return hello.isolation if hello else None

    @property
    def data_plane_pid(self) -> int:
        """Its process, 0 while it is away."""
        hello = self._current.hello if self._current else None
        return hello.pid if hello else 0

    async def open(self) -> None:
        """Listen on the socket (0600)."""
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._serve, self._path)
        finally:
            os.umask(before)

    async def close(self) -> None:
        """Stop listening and let the data plane go; it serves on with what it knows."""
        if self._server is not None:
            self._server.close()
        if self._current is not None:
            self._current.close()
        self._path.unlink(missing_ok=True)

    async def start(self, route: Route) -> str | None:
        """Have a deployment started, however often the data plane has to come back.

        Returns:
            ``None`` once an instance runs and its routes are in force, else why none could be started.
        """
        while True:
            connection = await self._connection()
            if (hosts := self._hosts.get(route.function_id)) is not None:
                route = msgspec.structs.replace(route, hosts=hosts)
            outcome = await connection.start(Upsert(version=self._next(), route=route))
            match outcome:
                case Lost():
                    continue
                case Failed(message=message):
                    return message
                case _:
                    return None

    async def rename(self, function_id: str, hosts: tuple[str, ...]) -> None:
        """Have a function answer under these names; returns after the ack, or 2 s."""
        self._hosts[function_id] = hosts
        if (connection := self._current) is not None:
            message = Hosts(version=self._next(), function_id=function_id, hosts=hosts)
            await connection.acked([message], ACK_SECONDS)

    async def remove(self, *function_ids: str) -> None:
        """Have functions no longer served; returns after the acks, or 2 s."""
        for function_id in function_ids:
            self._hosts.pop(function_id, None)
        messages = [Remove(version=self._next(), function_id=function_id) for function_id in function_ids]
        if (connection := self._current) is not None and messages:
            await connection.acked(messages, ACK_SECONDS)

    async def change_credentials(
        self,
        *,
        public_key: str | None = None,
        issued: tuple[str, ...] = (),
        revoked: tuple[str, ...] = (),
        keys: tuple[KeyGrant, ...] | None = None,
    ) -> None:
        """Tell what opens private functions now; returns after the ack, or 2 s."""
        if (connection := self._current) is not None:
            message = CredentialsChanged(
                version=self._next(), public_key=public_key, issued=issued, revoked=revoked, keys=keys
            )
            await connection.acked([message], ACK_SECONDS)

    async def move_clock(self) -> None:
        """Tell of a moved clock; returns when what became due there has started, or after 2 s."""
        if (connection := self._current) is not None:
            message = ClockChanged(version=self._next(), clock=self._clock())
            await connection.acked([message], ACK_SECONDS)

    async def _connection(self) -> Connection:
        while self._current is None:
            await self._arrived.wait()
        return self._current

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        if self._current is not None:
            self._current.close()
        connection.send(
            Snapshot(
                version=self._next(), clock=self._clock(), routes=self._routes(), credentials=self.credentials()
            )
        )
        self._current = connection
        self._arrived.set()
        _logger.info("The data plane connected.")
        try:
            await connection.listen()
        finally:
            connection.close()
            if self._current is connection:
                self._current = None
                self._arrived.clear()
                _logger.warning("The data plane is gone.")

    def _next(self) -> int:
        self._version += 1
        return self._version
