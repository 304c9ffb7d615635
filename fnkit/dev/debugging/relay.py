"""Connects debuggers to the instance that runs a function now, in a thread of its own.

A debugger connects to one port, for as long as the session lasts. Each instance listens on a port of its own, which
it reports here when it starts; its connection stays open until it ends. When a reload replaces the instance, those
that are attached are told to attach again, so that breakpoints hit in the new code.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeAlias

from fnkit.dev.debugging.adapter_session import AdapterSession
from fnkit.dev.debugging.launch_file import HOST
from fnkit.errors import PlatformError

DEFAULT_PORT: Final = 5678
_REPORT_SECONDS: Final = 10.0
_PIECE_BYTES: Final = 65536


_ConnectionHandler: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


@dataclass(frozen=True, slots=True, eq=False)
class Debuggee:
    """An instance that can be debugged.

    Attributes:
        port: The port of its debugger.
        root: The directory of its code, as it sees it.
    """

    port: int
    root: str


def open_debug_port(port: int | None) -> socket.socket:
    """Listen for debuggers on the loopback interface.

    Args:
        port: The port; ``None`` for the one that editors propose, or a free one.

    Raises:
        PlatformError: ``debug-port``: it is in use.
    """
    try:
        return socket.create_server((HOST, DEFAULT_PORT if port is None else port))
    except OSError as error:
        if port is None:
            return socket.create_server((HOST, 0))
        raise PlatformError(
            f"The debugger cannot listen on port {port}: {error.strerror}.",
            code="debug-port",
            hint="Choose another --debug-port, or leave it out for a free one.",
        ) from None


class DebugRelay:
    """Passes on what debuggers and instances say to each other.

    Args:
        listener: What debuggers connect to.
        key: What an instance has to say first.
        source_root: The directory of the function's code in the project.
        included: Directories outside of it with code of the function, by name.
        has_adapter: Whether the debugger speaks the Debug Adapter Protocol. Otherwise its bytes are passed on.
    """

    def __init__(
        self,
        listener: socket.socket,
        *,
        key: str,
        source_root: Path,
        has_adapter: bool,
        included: Mapping[str, Path] = MappingProxyType({}),
    ) -> None:
        self._included = {name: str(directory) for name, directory in included.items()}
        self._listener = listener
        self._reports = socket.create_server((HOST, 0))
        self._key = key
        self._source_root = source_root
        self._has_adapter = has_adapter
        self._debuggees: list[Debuggee] = []  # alive, the newest last
        self._changed = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="debugger", daemon=True)

    @property
    def port(self) -> int:
        """The port that debuggers connect to."""
        return int(self._listener.getsockname()[1])

    @property
    def report_port(self) -> int:
        """The port that instances report to."""
        return int(self._reports.getsockname()[1])

    def start(self) -> None:
        """Start to accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Close all connections."""
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())  # what still runs at its end is cancelled

    async def _serve(self) -> None:
        servers = [
            await asyncio.start_server(_until_cancelled(self._on_report), sock=self._reports),
            await asyncio.start_server(_until_cancelled(self._on_debugger), sock=self._listener),
        ]
        await self._stopped.wait()
        for server in servers:
            server.close()

    async def _on_report(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            line = await asyncio.wait_for(reader.readline(), _REPORT_SECONDS)
            if (debuggee := _read_report(line, self._key)) is not None:
                self._set_debuggees([*self._debuggees, debuggee])
                try:
                    await reader.read()  # until it ends
                finally:
                    self._set_debuggees([one for one in self._debuggees if one is not debuggee])
        except (OSError, ValueError, TimeoutError):
            pass
        finally:
            writer.close()

    def _set_debuggees(self, debuggees: list[Debuggee]) -> None:
        self._debuggees = debuggees
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait_for_debuggee(self) -> Debuggee:
        while not self._debuggees:
            await self._changed.wait()
        return self._debuggees[-1]

    async def _wait_for_replacement(self, debuggee: Debuggee) -> None:
        """Wait until this is not the instance that runs the function."""
        while self._debuggees and self._debuggees[-1] is debuggee:
            await self._changed.wait()

    async def _on_debugger(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        debuggee = await self._wait_for_debuggee()
        replaced = asyncio.ensure_future(self._wait_for_replacement(debuggee))
        try:
            with suppress(OSError):
                far_reader, far_writer = await asyncio.open_connection(HOST, debuggee.port)
                try:
                    if self._has_adapter:
                        session = AdapterSession(reader, writer, far_reader, far_writer)
                        await session.run(
                            replaced,
                            local=str(self._source_root),
                            remote=debuggee.root,
                            included=self._included,
                        )
                    else:
                        await _pass_on((reader, writer), (far_reader, far_writer), replaced)
                finally:
                    far_writer.close()
        finally:
            replaced.cancel()
            writer.close()


def _until_cancelled(handle: _ConnectionHandler) -> _ConnectionHandler:
    """Return a handler whose task ends normally when it is cancelled: asyncio would report that as an error."""

    async def handle_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):
            await handle(reader, writer)

    return handle_connection


def _read_report(line: bytes, key: str) -> Debuggee | None:
    """Return the instance that a line reports; ``None`` if it is no instance of this session."""
    report = json.loads(line)
    if not isinstance(report, dict) or not hmac.compare_digest(str(report.get("key")).encode(), key.encode()):
        return None
    return Debuggee(port=int(report["port"]), root=str(report["root"]))


_Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _pass_on(near: _Ends, far: _Ends, replaced: asyncio.Future[None]) -> None:
    """Pass on bytes in both directions until one end closes, or the instance is replaced."""
    copies = [asyncio.ensure_future(_copy(near[0], far[1])), asyncio.ensure_future(_copy(far[0], near[1]))]
    try:
        await asyncio.wait([*copies, replaced], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for copy in copies:
            copy.cancel()
        await asyncio.gather(*copies, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(_PIECE_BYTES):
        writer.write(piece)
        await writer.drain()
