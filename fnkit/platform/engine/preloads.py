"""Which deployments have a zygote of their own, when it is made, and when it goes.

A deployment gets one after an instance of it took long to start (its handler's imports are what takes long), if its
archive brings packages. One is made at a time; it counts in the memory budget with what it takes; the least
recently used goes when memory is short, or when all together take more than their share.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from fnkit.platform.engine.budget import MemoryBudget
from fnkit.platform.engine.deployment_zygote import DeploymentZygote, Preloaded
from fnkit.platform.routing import Route

__all__ = ["Preloads", "ZygoteMaker"]

_SLOW_START: Final = 0.02  # seconds: below, there is little to gain
_WORTH_SECONDS: Final = 0.005  # of CPU that the imports take
_IMPORT_SECONDS: Final = 60.0
_LEFT_OUT_MAX: Final = 16
_FAILURES_MAX: Final = 3
_BACKOFF_FIRST: Final = 0.5
_BACKOFF_MAX: Final = 300.0
_SHARE: Final = 4  # of the memory budget: a quarter
_SPARE_MB: Final = 8  # what its spare fork has for itself
_MIB: Final = 1024 * 1024
_Key = tuple[str, int]


class ZygoteMaker(Protocol):
    """What preloads need of the nursery, and of whoever knows a deployment's settings."""

    async def preload(self, route: Route, left_out: frozenset[str]) -> tuple[DeploymentZygote, Preloaded]:
        """Fork a deployment zygote; it may say that it is of no use. ``OSError`` when it ends before it says so."""


@dataclass(slots=True)
class _Entry:
    """What is known of one deployment. ``settled``: it is not to be tried again."""

    zygote: DeploymentZygote | None = None
    memory: int = 0  # MB
    left_out: set[str] = field(default_factory=set)
    failures: int = 0
    not_before: float = 0.0
    making: bool = False
    settled: bool = False


class Preloads:
    """The deployment zygotes of this data plane. ``said`` hears what a function's log should have.

    possible: whether this level of isolation can give forks of such a zygote walls of their own.
    """

    def __init__(
        self,
        maker: ZygoteMaker,
        budget: MemoryBudget,
        *,
        possible: bool,
        freed: Callable[[int], None],
        said: Callable[[Route, str], None],
    ) -> None:
        self._maker = maker
        self._possible = possible
        self._budget = budget
        self._freed = freed
        self._said = said
        self._entries: dict[_Key, _Entry] = {}  # the least recently used first
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Semaphore(1)

    def ready(self, route: Route) -> DeploymentZygote | None:
        """Return the zygote that an instance of this deployment can be forked from now."""
        key = _key(route)
        entry = self._entries.get(key)
        if entry is None or entry.zygote is None or entry.zygote.closed:
            return None
        if not route.preload:
            self.forget(route)
            return None
        self._entries[key] = self._entries.pop(key)
        return entry.zygote

    def consider(self, route: Route, seconds: float) -> None:
        """An instance took so long from its settings to its imported handler, without help."""
        wanted = self._possible and route.preload and route.sandbox != "v1" and route.language == "Python"
        if not wanted or seconds < _SLOW_START:
            return
        entry = self._entries.setdefault(_key(route), _Entry())
        if entry.making or entry.settled or entry.zygote is not None or self._loop.time() < entry.not_before:
            return
        entry.making = True
        task = self._loop.create_task(self._make(route, entry))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _make(self, route: Route, entry: _Entry) -> None:
        try:
            async with self._turn:
                if not await self._loop.run_in_executor(None, _brings_packages, route.code):
                    entry.settled = True
                    return
                while self._entries.get(_key(route)) is entry and self._budget.reserve(route.memory):
                    entry.memory = route.memory
                    if await self._try(route, entry):
                        return
                    self._release(entry)
        finally:
            entry.making = False
            if entry.zygote is None:
                self._release(entry)

    async def _try(self, route: Route, entry: _Entry) -> bool:
        """Make one; ``False`` when another try makes sense at once, with less to import."""
        try:
            async with asyncio.timeout(_IMPORT_SECONDS):
                zygote, preloaded = await self._maker.preload(route, frozenset(entry.left_out))
        except (OSError, TimeoutError) as error:
            self._failed(route, entry, str(error) or f"its imports took more than {_IMPORT_SECONDS:g} s")
            return True
        if zygote.closed and preloaded.ready:  # it ended before anybody knew of it
            self._failed(route, entry, "it ended when it had imported everything")
            return True
        if preloaded.ready and preloaded.seconds >= _WORTH_SECONDS and self._entries.get(_key(route)) is entry:
            entry.zygote = zygote
            self._shrink(entry, preloaded.memory // _MIB + _SPARE_MB)
            return True
        zygote.close()
        if preloaded.left_out:
            return self._leave_out(route, entry, preloaded)
        if preloaded.error:
            self._failed(route, entry, preloaded.error)
        entry.settled = entry.settled or preloaded.ready
        return True

    def _leave_out(self, route: Route, entry: _Entry, preloaded: Preloaded) -> bool:
        self._said(route, f"preload: {preloaded.left_out} {preloaded.why}, left out")
        entry.settled = len(entry.left_out) >= _LEFT_OUT_MAX or preloaded.left_out in entry.left_out
        entry.left_out.add(preloaded.left_out)
        return entry.settled

    def _failed(self, route: Route, entry: _Entry, reason: str) -> None:
        self._count(entry)
        entry.settled = entry.failures >= _FAILURES_MAX
        more = "; not tried again until the next deployment" if entry.settled else ""
        self._said(route, f"preload: not possible ({reason}){more}")

    def _count(self, entry: _Entry) -> None:
        entry.failures += 1
        entry.not_before = self._loop.time() + min(_BACKOFF_MAX, _BACKOFF_FIRST * 2**entry.failures)

    def _shrink(self, entry: _Entry, memory: int) -> None:
        """Keep in the budget what it takes instead of what it might have taken, and all within their share."""
        spare = max(0, entry.memory - memory)
        entry.memory -= spare
        self._freed(spare)
        while self._used > self._budget.limit // _SHARE and self.evict(but=entry):
            pass

    @property
    def _used(self) -> int:
        return sum(entry.memory for entry in self._entries.values())

    def evict(self, *, but: _Entry | None = None) -> bool:
        """End the least recently used that has no instances, whose death would be theirs; ``False`` without one."""
        for key, entry in self._entries.items():
            if entry.zygote is not None and entry is not but and not entry.zygote.is_used:
                del self._entries[key]
                self._end(entry)
                return True
        return False

    def lost(self, zygote: object) -> None:
        """A deployment zygote ended by itself: the next slow start may make another one, a while later."""
        for entry in self._entries.values():
            if entry.zygote is zygote:
                entry.zygote = None
                self._count(entry)
                self._release(entry)
                return

    def forget(self, route: Route) -> None:
        """This deployment serves no more. Its zygote ends with the last of its instances."""
        entry = self._entries.pop(_key(route), None)
        if entry is not None:
            self._end(entry)

    def _end(self, entry: _Entry) -> None:
        zygote, entry.zygote = entry.zygote, None
        if zygote is not None:
            zygote.close_when_unused()
        self._release(entry)

    def _release(self, entry: _Entry) -> None:
        memory, entry.memory = entry.memory, 0
        if memory:
            self._freed(memory)

    def close(self) -> None:
        """Make no more."""
        for task in self._tasks:
            task.cancel()
        self._entries.clear()


def _key(route: Route) -> _Key:
    return route.function_id, route.generation


def _brings_packages(code: str) -> bool:
    """Say whether an archive has third-party packages, beside the part of fnkit that is in every bundle."""
    try:
        with os.scandir(Path(code) / "package") as entries:
            return any(entry.name != "fnkit" for entry in entries)
    except OSError:
        return False
