"""When a deployment gets a zygote of its own, and what becomes of the memory that is kept for it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from fnkit.platform.data_plane.engine.memory_budget import MemoryBudget
from fnkit.platform.data_plane.engine.preloader import Preloader
from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient, PreloadResult
from fnkit.platform.data_plane.workers.factory import WorkerFactory
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.data_plane.workers.logs import LogWriter
from fnkit.platform.data_plane.workers.zygote import ForkedProcess, ForkServerClient
from fnkit.platform.model.routing import Route
from tests.support.routes import make_route

READY = PreloadResult(ready=True, modules=("heavy",), seconds=1.0, memory=50 << 20)


class Parent(ForkServerClient):
    """An interpreter's zygote that nobody needs to start: nothing is forked."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), sys.executable)

    def _kill(self) -> None: ...

    def _reap(self) -> None: ...


def ended_pipe() -> int:
    read_end, write_end = os.pipe()
    os.close(write_end)
    return read_end


class Maker(WorkerFactory):
    """Gives one zygote after the other; those whose number is among ``dead`` have ended when they are given."""

    def __init__(self, folder: Path, dead: Iterable[int]) -> None:
        logs = LogWriter(folder / "logs", lambda: 0, lambda: 0.0)
        super().__init__(Level.NONE, folder, folder / "disks", logs)
        self.dead = set(dead)
        self.made: list[DeploymentZygoteClient] = []

    async def start_deployment_zygote(
        self, _route: Route, _excluded: frozenset[str]
    ) -> tuple[DeploymentZygoteClient, PreloadResult]:
        loop, parent = asyncio.get_running_loop(), Parent()
        process = ForkedProcess(
            number=len(self.made), zygote=parent, groups=None, pid=0, connection=socket.socket(),
            outputs=(ended_pipe(), ended_pipe()),
            exited=loop.create_future(),
        )  # fmt: skip
        process.connection.close()
        zygote = DeploymentZygoteClient(loop, process, lambda _stream, _lines: None, 0)
        self.made.append(zygote)
        if process.number in self.dead:
            zygote.close()
        return zygote, READY


class Log(LogWriter):
    """Keeps the messages of the platform."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lambda: 0, lambda: 0.0)
        self.messages: list[str] = []

    def write_system(self, function_id: str, message: str, *, instance: str = "", request_id: str = "") -> None:
        super().write_system(function_id, message, instance=instance, request_id=request_id)
        self.messages.append(message)


def route_to(code: Path) -> Route:
    (code / "package" / "heavy").mkdir(parents=True)
    return make_route("f", code_dir=str(code), preload=True)


async def considered(made: Preloader, route: Route) -> None:
    made.maybe_preload(route, 1.0)
    await asyncio.gather(*made._tasks)


def test_a_zygote_that_ended_when_it_was_ready_is_made_again(tmp_path: Path) -> None:
    async def work() -> None:
        maker, budget, log = Maker(tmp_path, dead=[0]), MemoryBudget(1024), Log(tmp_path)
        made = Preloader(maker, budget, log, backoff=0.0)
        route = route_to(tmp_path)
        await considered(made, route)
        assert made.find_zygote(route) is None
        assert budget.used == 0
        assert log.messages == ["preload: not possible (it ended after its imports)"]
        await considered(made, route)
        assert made.find_zygote(route) is maker.made[1]
        assert 0 < budget.used < route.memory
        made.remove(route)
        assert budget.used == 0
        assert maker.made[1].is_closed

    asyncio.run(work())


def test_one_that_always_ends_is_tried_three_times(tmp_path: Path) -> None:
    async def work() -> None:
        maker, budget = Maker(tmp_path, dead=range(9)), MemoryBudget(1024)
        made = Preloader(maker, budget, Log(tmp_path), backoff=0.0)
        route = route_to(tmp_path)
        for _ in range(6):
            await considered(made, route)
        assert len(maker.made) == 3
        assert budget.used == 0

    asyncio.run(work())
