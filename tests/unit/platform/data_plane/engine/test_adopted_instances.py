"""A pool with an instance that an earlier process has left: whether requests wait for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec

from fnkit.platform.data_plane.counters import FunctionCounters
from fnkit.platform.data_plane.engine.pool import Pool
from fnkit.platform.data_plane.interface import PendingRequest, RequestFailure, ResponseHeaders
from fnkit.platform.data_plane.kubernetes.pod_instance import PodInstance
from fnkit.platform.data_plane.logs import LogWriter
from tests.support.routes import make_route


class Client:
    """The handler of a response, of which nothing arrives."""

    failure: RequestFailure | None = None

    def on_assigned(self, request: PendingRequest) -> None: ...

    def on_response_start(self, status: int, headers: ResponseHeaders) -> None: ...

    def on_response_data(self, data: bytes) -> None: ...

    def on_response_end(self) -> None: ...

    def on_failure(self, failure: RequestFailure) -> None:
        self.failure = failure


def adopting_pool(folder: Path, max_scale: int) -> tuple[Pool, PodInstance]:
    """Return a pool that has adopted an instance, which has not answered yet."""
    route = msgspec.structs.replace(make_route(), max_scale=max_scale)
    logs = LogWriter(folder, lambda: 0, lambda: 0.0)
    instance = PodInstance("f-1", route, "key", logs, lambda _instance: None)
    pool = Pool(route, FunctionCounters(route), 100, must_prove_itself=False)
    pool.starting += 1
    pool.add(instance)
    return pool, instance


def test_request_waits_for_an_adopted_instance_until_that_is_occupied(tmp_path: Path) -> None:
    async def work() -> None:
        pool, instance = adopting_pool(tmp_path, max_scale=2)
        pool.acquire("r1", "/", Client())
        assert pool.missing == 0
        pool.note_occupied(instance)
        assert pool.missing == 1
        pool.on_ready(instance)
        assert (pool.missing, len(pool.queue), pool.starting) == (0, 0, 0)

    asyncio.run(work())


def test_request_waits_for_an_occupied_instance_at_the_maximum_scale(tmp_path: Path) -> None:
    async def work() -> None:
        pool, instance = adopting_pool(tmp_path, max_scale=1)
        pool.acquire("r1", "/", Client())
        pool.note_occupied(instance)
        assert pool.missing == 0

    asyncio.run(work())


def test_end_of_an_occupied_instance_fails_no_queued_request(tmp_path: Path) -> None:
    async def work() -> None:
        pool, instance = adopting_pool(tmp_path, max_scale=1)
        client = Client()
        pool.acquire("r1", "/", client)
        pool.note_occupied(instance)
        assert pool.on_ended(instance, "exit 3") == 0.0
        assert client.failure is None
        assert (pool.missing, pool.starting, pool.total) == (1, 0, 0)

    asyncio.run(work())
