"""The zygote of one deployment, as the data plane sees it.

It is a fork of its interpreter's zygote, inside the sandbox of the function, that has imported the function's
third-party modules; instances of the deployment are forked from it. ``docs/decisions/deployment-zygotes.md`` has
the reasons. ``fnkit/worker/python/preload.py`` is the other end.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable

import msgspec

from fnkit.platform.data_plane.workers.instance import Instance
from fnkit.platform.data_plane.workers.isolation import InstanceGroups
from fnkit.platform.data_plane.workers.logs import LineReader, open_worker_channels
from fnkit.platform.data_plane.workers.prewarmed import receive_peer_pid
from fnkit.platform.data_plane.workers.zygote import ForkObserver, ForkServerClient
from fnkit.platform.model.log_record import LogStream

__all__ = ["DeploymentZygoteClient", "PreloadResult"]

_MAX_LINE_BYTES = 65536


class PreloadResult(msgspec.Struct, frozen=True):
    """The result of preloading.

    Attributes:
        ready: The imports are done and instances can be forked.
        modules: The third-party modules that were imported, as the handler names them.
        seconds: CPU time of the imports.
        memory: Resident memory of the zygote, in bytes.
        excluded: A module that must not be preloaded; the zygote exits then.
        reason: Why it must not.
        error: Why the zygote did not start.
    """

    ready: bool = False
    modules: tuple[str, ...] = ()
    seconds: float = 0.0
    memory: int = 0
    excluded: str = ""
    reason: str = ""
    error: str = ""


class DeploymentZygoteClient(ForkServerClient):
    """Starts the zygote of one deployment and talks to it.

    Args:
        loop: The event loop.
        parent: The zygote that it is forked from, which kills and reaps it.
        number: Its number among the parent's forks.
        groups: Its cgroups.
        observer: Receives what it reports.
        on_lines: Receives what the imports print.
        owner: The user of the deployment; 0 if it is the platform's own.
    """

    moves_itself_to_cgroup = False

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        parent: ForkServerClient,
        number: int,
        groups: InstanceGroups | None,
        observer: ForkObserver,
        on_lines: Callable[[LogStream, Iterable[bytes]], None],
        owner: int,
    ) -> None:
        super().__init__(loop, parent.interpreter, observer)
        self.number = number
        self.owner_uid = owner
        self.zygote = parent
        self.groups = groups
        self.host_directory: str | None = None
        self.pid = 0
        self.prewarmed: Instance | None = None  # a fork made ahead of use, because joining cgroups takes longest
        self._claimed: set[int] = set()
        self._is_closing = False
        self._on_lines = on_lines
        self._readers: list[LineReader] = []

    @property
    def name(self) -> str:
        """Its number in the form of an instance's name."""
        return f"{self.number:08x}"

    async def start(self, settings: bytes) -> PreloadResult:
        """Fork the zygote and let it import modules.

        Args:
            settings: Its settings as JSON.

        Raises:
            OSError: It ended before it reported a result.
        """
        control, zygote_end, pipes = open_worker_channels()
        try:
            self.zygote.fork(self.number, [zygote_end.fileno(), pipes[0][1], pipes[1][1]])
        finally:
            zygote_end.close()
            for _, write_end in pipes:
                os.close(write_end)
        self._capture_output(pipes[0][0], "stdout")
        self._capture_output(pipes[1][0], "stderr")
        control.settimeout(0)
        try:
            self.pid = await receive_peer_pid(self._loop, control)
            cgroups = self.groups.procs_files if self.groups is not None else []
            for document in (msgspec.json.encode({"cgroups": cgroups}), settings):
                await self._loop.sock_sendall(control, len(document).to_bytes(4, "big") + document)
            result = await self._read_result(control)
        except BaseException:
            control.close()
            raise
        if result.ready and not self._is_closed:
            self._start_reading(control)
        else:
            control.close()
        return result

    def _capture_output(self, descriptor: int, stream: LogStream) -> None:
        self._readers.append(LineReader(self._loop, descriptor, lambda lines: self._on_lines(stream, lines)))

    async def _read_result(self, control: socket.socket) -> PreloadResult:
        line = b""
        while not line.endswith(b"\n"):  # a fork message may follow in the same read
            part = await self._loop.sock_recv(control, _MAX_LINE_BYTES)
            if not part or len(line) > _MAX_LINE_BYTES:
                raise ChildProcessError("it ended during its imports")
            head, separator, rest = part.partition(b"\n")
            line += head + separator
            self._buffer += rest
        try:
            return msgspec.json.decode(line, type=PreloadResult)
        except msgspec.DecodeError:
            raise ChildProcessError("its result could not be read") from None

    def claim(self, instance: Instance) -> Instance:
        """Count an instance as used from now on, and return it."""
        self._claimed.add(instance.number)
        return instance

    def _on_fork_ended(self, number: int) -> None:
        self._claimed.discard(number)
        if self._is_closing and not self._claimed:
            self.close()

    def close_when_unused(self) -> None:
        """End the zygote after the last of its instances."""
        self._is_closing = True
        if not self.has_instances:
            self.close()

    def can_fork(self) -> bool:
        """Return whether instances are still forked from it."""
        return not self._is_closing and not self._is_closed

    @property
    def has_instances(self) -> bool:
        """Whether an instance of it is in use, which would end with it."""
        return bool(self._claimed)

    def on_exit(self, _status: int | None) -> None:
        """The process was reaped, or its parent has ended."""
        for reader in self._readers:
            if not reader.is_closed:
                reader.read()
            reader.close()
        if not self._is_closed:
            self.close()
            self._observer.zygote_exited(self)

    def _kill(self) -> None:
        self.zygote.kill(self.number)

    def _reap(self) -> None:
        self.zygote.kill(self.number)
