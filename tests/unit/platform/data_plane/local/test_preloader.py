"""Preloader: retries of deployment zygotes that exit, and the memory budget reserved for them."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from fnkit.platform.data_plane.local.limits import MemoryBudget
from fnkit.platform.data_plane.local.preloader import Preloader
from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient, PreloadResult
from fnkit.platform.data_plane.workers.factory import WorkerFactory
from fnkit.platform.data_plane.workers.forked_process import ForkedProcess
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.data_plane.workers.zygote import ForkServerClient
from fnkit.platform.model.routing import Route
from tests.support.routes import make_route

READY = PreloadResult(ready=True, modules=("heavy",), seconds=1.0, memory=50 << 20)


class IdleForkServer(ForkServerClient):
    """A fork server client without a process, which forks nothing."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), sys.executable)

    def _kill(self) -> None: ...

    def _reap(self) -> None: ...


def closed_pipe() -> int:
    read_end, write_end = os.pipe()
    os.close(write_end)
    return read_end


class FakeWorkerFactory(WorkerFactory):
    """Returns deployment zygotes without processes; those numbered in ``dead`` are already closed."""

    def __init__(self, folder: Path, dead: Iterable[int]) -> None:
        logs = LogWriter(folder / "logs", lambda: 0, lambda: 0.0)
        super().__init__(Level.NONE, folder, folder / "disks", folder, logs)
        self.dead = set(dead)
        self.zygotes: list[DeploymentZygoteClient] = []

    async def start_deployment_zygote(
        self, _route: Route, _excluded: frozenset[str]
    ) -> tuple[DeploymentZygoteClient, PreloadResult]:
        loop, parent = asyncio.get_running_loop(), IdleForkServer()
        process = ForkedProcess(
            number=len(self.zygotes), zygote=parent, groups=None, pid=0, connection=socket.socket(),
            outputs=(closed_pipe(), closed_pipe()),
            exited=loop.create_future(),
        )  # fmt: skip
        process.connection.close()
        zygote = DeploymentZygoteClient(loop, process, lambda _stream, _lines: None, 0)
        self.zygotes.append(zygote)
        if process.number in self.dead:
            zygote.close()
        return zygote, READY


class RecordingLogWriter(LogWriter):
    """Records the platform's messages."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, lambda: 0, lambda: 0.0)
        self.messages: list[str] = []

    def write_system(self, function_id: str, message: str, *, instance: str = "", request_id: str = "") -> None:
        super().write_system(function_id, message, instance=instance, request_id=request_id)
        self.messages.append(message)


def route_to(code: Path) -> Route:
    (code / "package" / "heavy").mkdir(parents=True)
    return make_route("f", code_dir=str(code), preload=True)


async def preload(preloader: Preloader, route: Route) -> None:
    preloader.maybe_preload(route, 1.0)
    await asyncio.gather(*preloader._tasks)


def test_zygote_that_exits_after_its_imports_is_replaced(tmp_path: Path) -> None:
    async def work() -> None:
        factory, budget, log = (
            FakeWorkerFactory(tmp_path, dead=[0]),
            MemoryBudget(1024),
            RecordingLogWriter(tmp_path),
        )
        preloader = Preloader(factory, budget, log, backoff=0.0)
        route = route_to(tmp_path)
        await preload(preloader, route)
        assert preloader.find_zygote(route) is None
        assert budget.used == 0
        assert log.messages == ["preload: not possible (it ended after its imports)"]
        await preload(preloader, route)
        assert preloader.find_zygote(route) is factory.zygotes[1]
        assert 0 < budget.used < route.memory
        preloader.remove(route)
        assert budget.used == 0
        assert factory.zygotes[1].is_closed

    asyncio.run(work())


def test_zygote_that_always_exits_is_started_three_times(tmp_path: Path) -> None:
    async def work() -> None:
        factory, budget = FakeWorkerFactory(tmp_path, dead=range(9)), MemoryBudget(1024)
        preloader = Preloader(factory, budget, RecordingLogWriter(tmp_path), backoff=0.0)
        route = route_to(tmp_path)
        for _ in range(6):
            await preload(preloader, route)
        assert len(factory.zygotes) == 3
        assert budget.used == 0

    asyncio.run(work())
