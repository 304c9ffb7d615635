"""When a deployment gets a zygote of its own, and what becomes of the memory that is kept for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import pytest

from fnkit.platform.data_plane.engine import preloader
from fnkit.platform.data_plane.engine.pool import MemoryBudget
from fnkit.platform.data_plane.engine.preloader import Preloader
from fnkit.platform.data_plane.workers.deployment_zygote import DeploymentZygoteClient, PreloadResult
from fnkit.platform.data_plane.workers.zygote import ForkServerClient
from fnkit.platform.model.log_record import LogStream
from fnkit.platform.model.routing import Route

READY = PreloadResult(ready=True, modules=("heavy",), seconds=1.0, memory=50 << 20)


class Parent(ForkServerClient):
    """An interpreter's zygote that nobody needs to start: nothing is forked."""

    def __init__(self) -> None:
        super().__init__(asyncio.get_running_loop(), sys.executable, self)

    def instance_exited(self, number: int, status: int) -> None: ...

    def fork_failed(self, number: int, error: int) -> None: ...

    def zygote_exited(self, zygote: ForkServerClient) -> None: ...

    def _kill(self) -> None: ...

    def _reap(self) -> None: ...


class Maker:
    """Gives one zygote after the other; those whose number is among ``dead`` have ended when they are given."""

    def __init__(self, dead: Iterable[int]) -> None:
        self.dead = set(dead)
        self.made: list[DeploymentZygoteClient] = []

    async def preload(
        self, _route: Route, _left_out: frozenset[str]
    ) -> tuple[DeploymentZygoteClient, PreloadResult]:
        def hear(stream: LogStream, lines: Iterable[bytes]) -> None: ...

        parent = Parent()
        zygote = DeploymentZygoteClient(parent._loop, parent, len(self.made), None, parent, hear, 0)
        self.made.append(zygote)
        if zygote.number in self.dead:
            zygote.close()
        return zygote, READY


def route_to(code: Path) -> Route:
    (code / "package" / "heavy").mkdir(parents=True)
    values = dict.fromkeys(Route.__struct_fields__, "") | {
        "function_id": "f", "generation": 1, "hosts": (), "language": "Python", "code_dir": str(code), "memory": 256,
        "cpu": 140, "timeout": 1.0, "min_scale": 0, "max_scale": 1, "sandbox": "v2", "environment": {}, "uid": 0,
        "secret_names": (), "preload": True,
    }  # fmt: skip
    return msgspec.convert(values, Route)


async def considered(made: Preloader, route: Route) -> None:
    made.maybe_preload(route, 1.0)
    await asyncio.gather(*made._tasks)


def test_a_zygote_that_ended_when_it_was_ready_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preloader, "_BACKOFF_FIRST", 0.0)

    async def work() -> None:
        maker, budget, said = Maker(dead=[0]), MemoryBudget(1024), list[str]()
        made = Preloader(
            maker, budget, possible=True, on_freed=budget.release, log=lambda _route, text: said.append(text)
        )
        route = route_to(tmp_path)
        await considered(made, route)
        assert made.find_zygote(route) is None
        assert budget.used == 0
        assert said == ["preload: not possible (it ended after its imports)"]
        await considered(made, route)
        assert made.find_zygote(route) is maker.made[1]
        assert 0 < budget.used < route.memory
        made.remove(route)
        assert budget.used == 0
        assert maker.made[1].is_closed

    asyncio.run(work())


def test_one_that_always_ends_is_tried_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preloader, "_BACKOFF_FIRST", 0.0)

    async def work() -> None:
        maker, budget = Maker(dead=range(9)), MemoryBudget(1024)
        made = Preloader(maker, budget, possible=True, on_freed=budget.release, log=lambda _route, _text: None)
        route = route_to(tmp_path)
        for _ in range(6):
            await considered(made, route)
        assert len(maker.made) == 3
        assert budget.used == 0

    asyncio.run(work())
