"""The zygote of one deployment: its third-party modules are imported once, and its instances forked from there.

It is a fork of its interpreter's zygote, behind the walls of the function whose modules it holds (decision 33, and
``docs/decisions/deployment-zygotes.md``); ``bridges/preloading.py`` is its other end.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable

import msgspec

from fnkit.platform.engine.capture import LineReader, open_line
from fnkit.platform.engine.cgroups import InstanceGroups
from fnkit.platform.engine.forking import Forker, ForkObserver
from fnkit.platform.engine.instance import Instance
from fnkit.platform.engine.newborn import who_says_hello
from fnkit.platform.log_lines import Stream

__all__ = ["DeploymentZygote", "Preloaded"]

_LINE_MAX = 65536


class Preloaded(msgspec.Struct, frozen=True):
    """What came of the imports. ``left_out``: the module that must not be preloaded, and ``why``.

    modules: what was imported of third parties, as the handler names it. seconds: of CPU that it took. memory: of
    the zygote, in bytes.
    """

    ready: bool = False
    modules: tuple[str, ...] = ()
    seconds: float = 0.0
    memory: int = 0
    left_out: str = ""
    why: str = ""
    error: str = ""


class DeploymentZygote(Forker):
    """The data plane's end. ``parent`` ends it; hear gets what the imports write; owner: its user, 0 is ours."""

    joins_itself = False

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        parent: Forker,
        number: int,
        groups: InstanceGroups | None,
        observer: ForkObserver,
        hear: Callable[[Stream, Iterable[bytes]], None],
        owner: int,
    ) -> None:
        super().__init__(loop, parent.interpreter, observer)
        self.number = number
        self.owner = owner
        self.zygote = parent
        self.groups = groups
        self.home: str | None = None
        self.pid = 0
        self.spare: Instance | None = None  # forked and in its groups, which takes longest; nobody's yet
        self._claimed: set[int] = set()
        self._unwanted = False
        self._hear_lines = hear
        self._readers: list[LineReader] = []

    @property
    def name(self) -> str:
        """As instances have one."""
        return f"{self.number:08x}"

    async def start(self, settings: bytes) -> Preloaded:
        """Fork it and let it import. ``OSError`` when it ends before it has said what came of that."""
        ours, theirs, pipes = open_line()
        try:
            self.zygote.fork(self.number, [theirs.fileno(), pipes[0][1], pipes[1][1]])
        finally:
            theirs.close()
            for _, writing in pipes:
                os.close(writing)
        self._capture(pipes[0][0], "stdout")
        self._capture(pipes[1][0], "stderr")
        ours.settimeout(0)
        try:
            self.pid = await who_says_hello(self._loop, ours)
            joins = self.groups.joins if self.groups is not None else []
            for document in (msgspec.json.encode({"cgroups": joins}), settings):
                await self._loop.sock_sendall(ours, len(document).to_bytes(4, "big") + document)
            preloaded = await self._hear_line(ours)
        except BaseException:
            ours.close()
            raise
        if preloaded.ready and not self._closed:
            self._listen(ours)
        else:
            ours.close()
        return preloaded

    def _capture(self, descriptor: int, stream: Stream) -> None:
        self._readers.append(LineReader(self._loop, descriptor, lambda lines: self._hear_lines(stream, lines)))

    async def _hear_line(self, ours: socket.socket) -> Preloaded:
        line = b""
        while not line.endswith(b"\n"):  # a message of its forks may follow at once
            part = await self._loop.sock_recv(ours, _LINE_MAX)
            if not part or len(line) > _LINE_MAX:
                raise ChildProcessError("it ended while it imported")
            head, separator, rest = part.partition(b"\n")
            line += head + separator
            self._buffer += rest
        try:
            return msgspec.json.decode(line, type=Preloaded)
        except msgspec.DecodeError:
            raise ChildProcessError("it did not say what it imported") from None

    def claim(self, instance: Instance) -> Instance:
        """Note that this instance is somebody's from now on, and return it."""
        self._claimed.add(instance.number)
        return instance

    def _forget(self, number: int) -> None:
        self._claimed.discard(number)
        if self._unwanted and not self._claimed:
            self.close()

    def close_when_unused(self) -> None:
        """End it, after the last of its instances."""
        self._unwanted = True
        if not self.is_used:
            self.close()

    def wants_forks(self) -> bool:
        """Whether instances are still to be forked from it."""
        return not self._unwanted and not self._closed

    @property
    def is_used(self) -> bool:
        """Whether an instance of it is somebody's: that one's end would be its own."""
        return bool(self._claimed)

    def exited(self, _status: int | None) -> None:
        """Its own zygote has reaped it, or is gone too; its socket says the same to whom it concerns."""
        for reader in self._readers:
            if not reader.closed:
                reader.read()
            reader.close()
        if not self._closed:
            self.close()
            self._observer.zygote_lost(self)

    def _destroy(self) -> None:
        self.zygote.kill(self.number)

    def _bury(self) -> None:
        self.zygote.kill(self.number)
