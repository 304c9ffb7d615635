"""What the conformance suite of engines needs of an engine: a subclass of ``EngineHarness`` for each engine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fnkit.contract.invocation.event import build_context, build_event
from fnkit.platform.data_plane.interface import (
    DeployResult,
    Engine,
    FailureKind,
    PendingRequest,
    RequestFailure,
    ResponseHeaders,
)
from fnkit.platform.data_plane.local.engine import LocalEngine
from fnkit.platform.data_plane.local.source import LocalEngineSettings
from fnkit.platform.data_plane.workers.isolation import Level
from fnkit.platform.model.clock import SyncedClock
from fnkit.platform.model.metrics import FunctionMetricsSnapshot
from fnkit.platform.model.routing import ClockState, ImageProgram, LocalProgram, Route
from tests.support.data_plane import children
from tests.support.handler_latch import HandlerLatch, handler_latch
from tests.support.routes import make_route
from tests.support.waiting import wait_until_async

__all__ = ["EngineCall", "EngineHarness", "open_local_engine"]


class EngineCall:
    """A request to an engine. It is the handler of its response.

    Attributes:
        instance_name: The instance that it was assigned to; empty until then.
        request: The request; ``None`` if it failed at once.
        finished: Done with the body of the response, or with ``None`` if it failed.
        failure: Why it failed.
    """

    def __init__(self, engine: Engine, route: Route, path: str, order: list[EngineCall]) -> None:
        self.finished: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self.instance_name = ""
        self.failure: RequestFailure | None = None
        self._order = order
        self._body = b""
        event = build_event(method="GET", path=path, query="", headers=(), body=b"")
        context = build_context(memory_limit=route.memory, function_name=route.name)
        self._document = json.dumps({"event": event, "context": context}).encode()
        self.request = engine.acquire(route.function_id, f"request-{id(self):x}", path, self)

    def on_assigned(self, request: PendingRequest) -> None:
        self._order.append(self)
        self.instance_name = request.instance_name
        request.send(self._document)

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None:
        assert status == 200, headers

    def on_response_data(self, data: bytes) -> None:
        self._body += data

    def on_response_end(self) -> None:
        self.finished.set_result(self._body.decode())

    def on_failure(self, failure: RequestFailure) -> None:
        self.failure = failure
        self.finished.set_result(None)

    async def body(self) -> str:
        """Wait for the response and return its body."""
        body = await self.finished
        assert body is not None, self.failure
        return body

    async def failure_kind(self) -> FailureKind:
        """Wait for the failure of the request and return its kind."""
        body = await self.finished
        assert self.failure is not None, body
        return self.failure.kind


class EngineHarness(ABC):
    """A running engine with a manual clock.

    A subclass sets ``engine`` with ``clock`` and ``on_exit``, keeps no spare instances, and has the default limits.

    Attributes:
        latch: Handlers whose source contains ``latch.source`` can wait for it.
        exits: The reasons of unexpected ends of instances, in order.
        assigned: The calls that were assigned to an instance, in order.
    """

    engine: Engine

    def __init__(self, latch: HandlerLatch) -> None:
        self.latch = latch
        self.exits: list[str] = []
        self.assigned: list[EngineCall] = []
        self.clock = SyncedClock()
        self._now = time.time()
        self._generations: dict[str, int] = {}
        self._set_clock()

    @abstractmethod
    def store_program(self, name: str, source: str) -> LocalProgram | ImageProgram:
        """Store the source of ``handler.py`` so that instances can run it."""

    @abstractmethod
    def instance_count(self) -> int:
        """Return how many instances exist outside of the engine's own account of them."""

    @abstractmethod
    def is_gone(self) -> bool:
        """Return whether nothing is left of a closed engine."""

    def on_exit(self, _route: Route, reason: str) -> None:
        """Record an unexpected end."""
        self.exits.append(reason)

    def advance(self, seconds: float) -> None:
        """Move the clock, as control does."""
        self._now += seconds
        self._set_clock()
        self.engine.sweep()

    def _set_clock(self) -> None:
        self.clock.set(ClockState(platform_time=self._now, real_time=time.time(), speed=0.0))

    def route(self, name: str, source: str, **changes: object) -> Route:
        """Return the route of the next deployment of a function, with these fields changed."""
        generation = self._generations[name] = self._generations.get(name, 0) + 1
        program = self.store_program(f"{name}-{generation}", source)
        return make_route(name, generation=generation, program=program, **changes)

    async def deploy(self, route: Route) -> DeployResult:
        """Deploy a route and wait for the result."""
        result: asyncio.Future[DeployResult] = asyncio.get_running_loop().create_future()
        self.engine.deploy(route, result.set_result)
        return await result

    async def start(self, name: str, source: str, **changes: object) -> Route:
        """Deploy a function that can be started, and return its route."""
        route = self.route(name, source, **changes)
        assert await self.deploy(route) == DeployResult(route)
        return route

    def call(self, route: Route, path: str = "/") -> EngineCall:
        """Send a request to a function."""
        return EngineCall(self.engine, route, path, self.assigned)

    def metrics(self, route: Route) -> FunctionMetricsSnapshot:
        """Return the metrics of a function."""
        return next(one for one in self.engine.collect_metrics().functions if one.function_id == route.function_id)

    async def wait_for_instances(self, route: Route, *, idle: int = 0, busy: int = 0) -> None:
        """Wait until a function has these instances and none that is starting, in its account and in fact."""

        def is_reached() -> bool:
            now = self.metrics(route)
            return (now.idle, now.busy, now.starting, self.instance_count()) == (idle, busy, 0, idle + busy)

        await wait_until_async(is_reached, what=f"{idle} idle and {busy} busy instances")

    async def wait_for_handlers(self, count: int) -> None:
        """Wait until this many handlers wait for the latch."""
        await wait_until_async(lambda: self.latch.waiting_count == count, what=f"{count} waiting handlers")


class _LocalEngineHarness(EngineHarness):
    """The engine of this machine, without isolation."""

    def __init__(self, folder: Path, latch: HandlerLatch, memory_budget: int) -> None:
        super().__init__(latch)
        self._folder = folder
        self._other_children = set(children(os.getpid()))
        settings = LocalEngineSettings(
            level=Level.NONE,
            runtime_directory=folder,
            logs_directory=folder / "logs",
            code_directory=folder / "code",
            prewarmed=0,
            memory_budget=memory_budget,
        )
        self.engine = LocalEngine(settings, self.clock, self.on_exit)

    def store_program(self, name: str, source: str) -> LocalProgram:
        directory = self._folder / "code" / name
        directory.mkdir(parents=True)
        (directory / "handler.py").write_text(source)
        return LocalProgram(interpreter=sys.executable, code_dir=str(directory))

    def instance_count(self) -> int:
        return sum(len(children(pid)) for pid in self._own_children())

    def is_gone(self) -> bool:
        return not self._own_children()

    def _own_children(self) -> set[int]:
        """Return the zygotes and the meter of usage."""
        return set(children(os.getpid())) - self._other_children


@asynccontextmanager
async def open_local_engine(folder: Path, *, memory_budget: int = 0) -> AsyncIterator[EngineHarness]:
    """Run the engine of this machine, and close it.

    Args:
        folder: An empty directory.
        memory_budget: MB for all instances; 0 for half of the machine's memory.
    """
    with handler_latch() as latch:
        harness = _LocalEngineHarness(folder, latch, memory_budget)
        try:
            yield harness
        finally:
            harness.engine.close()
            await harness.engine.wait_closed()
