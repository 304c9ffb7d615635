"""The zygote of one deployment, as the data plane sees it.

It is a fork of its interpreter's zygote, inside the sandbox of the function, that has imported the function's
third-party modules; instances of the deployment are forked from it. ``docs/decisions/deployment-zygotes.md`` has
the reasons. ``fnkit/worker/python/preload.py`` is the other end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

import msgspec

from fnkit.platform.data_plane.workers.forked_process import ForkedProcess, OutputReader
from fnkit.platform.data_plane.workers.instance import LocalInstance
from fnkit.platform.data_plane.workers.zygote import ForkServerClient
from fnkit.platform.model.log_record import LogStream

_MAX_LINE_BYTES: Final = 65536


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
    """Talks to the zygote of one deployment.

    Args:
        loop: The event loop.
        process: The process, which its interpreter's zygote has forked, and kills and reaps.
        on_lines: Receives what the imports print.

    Attributes:
        process: The process.
        owner_uid: The user of the deployment; 0 if it is the platform's own.
        prewarmed: A fork made ahead of use, because joining cgroups takes longest.
    """

    moves_itself_to_cgroup = False

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        process: ForkedProcess,
        on_lines: Callable[[LogStream, Collection[bytes]], None],
        owner_uid: int,
    ) -> None:
        super().__init__(loop, process.zygote.interpreter)
        self.owner_uid = owner_uid
        self.prewarmed: LocalInstance | None = None
        self.process = process
        self._claimed: set[LocalInstance] = set()
        self._is_closing = False
        self._output = OutputReader(loop, process.streams(), on_lines)
        process.exited.add_done_callback(self._on_exited)

    async def preload(self, settings: bytes) -> PreloadResult:
        """Let it import modules.

        Args:
            settings: Its settings as a document.

        Raises:
            OSError: It ended before it reported a result.
        """
        connection = self.process.connection
        try:
            await self._loop.sock_sendall(connection, settings)
            result = await self._read_result()
        except BaseException:
            connection.close()
            raise
        if result.ready and self.can_fork():
            self._start_reading(connection)
        else:
            connection.close()
        return result

    async def _read_result(self) -> PreloadResult:
        line = b""
        while not line.endswith(b"\n"):  # a fork message may follow in the same read
            part = await self._loop.sock_recv(self.process.connection, _MAX_LINE_BYTES)
            if not part or len(line) > _MAX_LINE_BYTES:
                raise ChildProcessError("it ended during its imports")
            head, separator, rest = part.partition(b"\n")
            line += head + separator
            self._buffer += rest
        try:
            return msgspec.json.decode(line, type=PreloadResult)
        except msgspec.DecodeError:
            raise ChildProcessError("its result could not be read") from None

    def can_fork(self) -> bool:
        """Return whether instances are still forked from it."""
        return not self._is_closing and not self._is_closed

    def claim(self, instance: LocalInstance) -> LocalInstance:
        """Count a fork of it as used until it ends, and return it."""
        self._claimed.add(instance)
        instance.process.exited.add_done_callback(lambda _: self._release(instance))
        return instance

    def _release(self, instance: LocalInstance) -> None:
        self._claimed.discard(instance)
        if self._is_closing and not self._claimed:
            self.close()

    @property
    def has_instances(self) -> bool:
        """Whether an instance of it is in use, which would end with it."""
        return bool(self._claimed)

    def close_when_unused(self) -> None:
        """End the zygote after the last of its instances."""
        self._is_closing = True
        if not self.has_instances:
            self.close()

    def _on_exited(self, _exited: asyncio.Future[int | None]) -> None:
        """The process was reaped, or its parent has ended."""
        self._output.close()
        self._on_lost()

    def _kill(self) -> None:
        self.process.kill()

    def _reap(self) -> None:
        self.process.kill()
