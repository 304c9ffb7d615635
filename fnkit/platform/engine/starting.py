"""Starts instances: in turn, a few at a time, within the memory budget.

A start holds one of four turns until its handler is imported, but no longer than a second: turns keep a burst
from thrashing, they are no reason to wait for somebody's slow import.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from fnkit.contract.limits import DISK_MAX_BYTES
from fnkit.platform.engine.budget import MemoryBudget
from fnkit.platform.engine.environment import CODE_FOLDER, HOME_FOLDER, instance_environment
from fnkit.platform.engine.instance import Instance, InstanceState
from fnkit.platform.engine.isolation import Level
from fnkit.platform.engine.nursery import Nursery
from fnkit.platform.engine.pool import Pool
from fnkit.platform.routing import Route

__all__ = ["Starter"]

_TURNS: Final = 4  # decision 25
_TURN_SECONDS: Final = 1.0
_PROCESSES: Final = 512
_MIB: Final = 1024 * 1024
_FIRST_OWN_UID: Final = 0x1000_0000  # far from people's and services' users


class Starter:
    """Turns requests for starts into instances. evict frees memory of an idle instance, if it can."""

    def __init__(
        self,
        nursery: Nursery,
        budget: MemoryBudget,
        *,
        start_seconds: float,
        evict: Callable[[], bool],
        starved: Callable[[Pool], None],
    ) -> None:
        self._nursery = nursery
        self._budget = budget
        self._start_seconds = start_seconds
        self._evict = evict
        self._starved = starved
        self._queue: deque[Pool] = deque()
        self._turns = _TURNS
        self._holding: set[Instance] = set()
        self._uids: dict[str, int] = {}
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()

    def request(self, pool: Pool) -> None:
        """Start an instance for this pool when it is its turn."""
        self._queue.append(pool)
        self.advance()

    def advance(self) -> None:
        """Start what can be started now; called whenever a turn or memory came free."""
        for _ in range(len(self._queue)):
            if self._turns == 0 or not self._queue:
                return
            pool = self._queue.popleft()
            if not pool.needs_start:
                pool.start_dropped()
            elif pool.route.memory > self._budget.limit:
                pool.start_failed(f"its {pool.route.memory} MB are more than the memory budget allows")
            elif self._budget.reserve(pool.route.memory):
                self._turns -= 1
                self._launch(pool)
            else:
                self._queue.appendleft(pool)
                if not self._evict():
                    self._starved(pool)
                return  # in turn: a small one that fits must not overtake a large one for ever

    def _launch(self, pool: Pool) -> None:
        task = self._loop.create_task(self._start(pool))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, pool: Pool) -> None:
        route = pool.route
        try:
            instance = await self._nursery.take(route.interpreter)
            settings = self._settings(route, instance)
        except OSError as error:
            self._turns += 1
            self._budget.free(route.memory)
            pool.start_failed(f"{route.interpreter}: {error}")
            self.advance()
            return
        pool.members.add(instance)
        self._holding.add(instance)
        instance.begin(pool, route.function_id, settings)
        self._loop.call_later(_TURN_SECONDS, self.turn_over, instance)
        self._loop.call_later(self._start_seconds, self._give_up, instance)

    def _give_up(self, instance: Instance) -> None:
        if instance.state is InstanceState.STARTING:
            instance.kill(f"its handler was not imported within {self._start_seconds:g} s")

    def turn_over(self, instance: Instance) -> None:
        """The instance is ready, has ended or takes too long: the next one may start."""
        if instance in self._holding:
            self._holding.discard(instance)
            self._turns += 1
            self._nursery.refill(instance.zygote.interpreter)
            self.advance()

    def memory_freed(self, memory: int) -> None:
        """An instance is gone."""
        self._budget.free(memory)
        self.advance()

    def _settings(self, route: Route, instance: Instance) -> bytes:
        """Return the settings of one instance (``Settings`` in ``bridges/confinement.py``), secrets included."""
        namespaces = self._nursery.level in (Level.CGROUP, Level.NAMESPACES)
        root = CODE_FOLDER if namespaces else route.code
        home = HOME_FOLDER if namespaces else str(self._nursery.home(instance))
        if instance.groups is not None:
            instance.groups.limit(memory=route.memory, cpu=route.cpu, processes=_PROCESSES)
        environment = instance_environment(route, home=home, root=root)
        if not namespaces:
            environment["TMPDIR"] = home
        return msgspec.json.encode(
            {
                "level": self._nursery.level.value,
                "code": route.code,
                "root": root,
                "home": home,
                "handler": route.handler,
                "memory": route.memory,
                "disk": DISK_MAX_BYTES // _MIB,
                "processes": _PROCESSES,
                "uid": route.uid or self._own_uid(route.function_id),
                "hostname": route.name,
                "filter": route.sandbox != "v1" and self._nursery.level is not Level.NONE,
                "environment": environment,
            }
        )

    def _own_uid(self, function_id: str) -> int:
        """Return a user id that no other function has, for a deployment that control gave none."""
        return self._uids.setdefault(function_id, _FIRST_OWN_UID + len(self._uids))
