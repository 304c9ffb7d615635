"""An engine in a process of its own, which is killed while its instances run."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from functools import partial
from multiprocessing.connection import Connection

from fnkit.platform.data_plane.kubernetes.engine import KubernetesEngine, connect
from fnkit.platform.data_plane.kubernetes.settings import KubernetesEngineSettings
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.routing import ClockState, Route
from tests.support.engine_harness import EngineCall
from tests.support.waiting import wait_until_async

__all__ = ["EngineProcess"]


class EngineProcess:
    """An engine that serves functions until it is killed.

    Args:
        settings: Its settings.
        calls: The functions, and the path of the request that each of them gets. It waits for the responses of all
            but ``/wait``, whose handler waits.

    Attributes:
        instances: The names of the instances that got the requests, in the same order.
    """

    def __init__(self, settings: KubernetesEngineSettings, calls: Sequence[tuple[Route, str]]) -> None:
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        self._process = context.Process(target=_run, args=(settings, calls, sender), daemon=True)
        self._process.start()
        sender.close()
        self.instances: list[str] = receiver.recv()

    def kill(self) -> None:
        """``kill -9``."""
        self._process.kill()
        self._process.join()


def _run(settings: KubernetesEngineSettings, calls: Sequence[tuple[Route, str]], ready: Connection) -> None:
    asyncio.run(_serve(settings, calls, ready))


async def _serve(settings: KubernetesEngineSettings, calls: Sequence[tuple[Route, str]], ready: Connection) -> None:
    clock = SyncedClock()
    clock.set(ClockState(platform_time=time.time(), real_time=time.time(), speed=0.0))
    engine = KubernetesEngine(await connect(settings, clock), settings, clock, lambda _route, _reason: None)
    made = []
    for route, path in calls:
        engine.resume(route)
        made.append(EngineCall(engine, route, path, []))
    for call, (_, path) in zip(made, calls, strict=True):
        if path == "/wait":
            await wait_until_async(partial(_is_assigned, call))
        else:
            await call.body()
    ready.send([call.instance_name for call in made])
    await asyncio.Event().wait()


def _is_assigned(call: EngineCall) -> bool:
    return bool(call.instance_name)
