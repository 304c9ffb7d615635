"""Many starts at once, a node that is cut off under load, and a node that joins."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest
from lightkube.resources.core_v1 import Pod

from fnkit.platform.data_plane.interface import FailureKind
from fnkit.platform.model.routing import Route
from tests.cluster.cluster import Cluster
from tests.cluster.engine_harness import KubernetesEngineHarness
from tests.cluster.fixtures import OpenEngine
from tests.cluster.network import node_name
from tests.support.waiting import wait_until, wait_until_async

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

HELLO = "def handle(event, context):\n    return 'hello'\n"
SLOW = "import time\n\ndef handle(event, context):\n    time.sleep(0.1)\n    return 'done'\n"
FUNCTIONS = 200
BURST = 12
LOAD_SECONDS = 40.0
LOST_NODE = 2


def run(open_engine: OpenEngine, folder: Path, work: Callable[[KubernetesEngineHarness], Awaitable[None]]) -> None:
    async def main() -> None:
        async with open_engine(folder) as harness:
            await work(harness)

    asyncio.run(main())


def all_nodes(cluster: Cluster) -> set[str]:
    """Return the names of all nodes. Other tests may have added some."""
    return set(map(node_name, cluster.network.nodes))


def nodes_of(harness: KubernetesEngineHarness) -> dict[str, str]:
    """Return the node of each instance."""
    return {
        pod.metadata.name or "": pod.spec.nodeName or ""
        for pod in harness.client.list(Pod, namespace=harness.client.namespace, labels=harness.labels)
        if pod.metadata is not None and pod.spec is not None
    }


def test_burst_starts_all_its_instances_together(
    cluster: Cluster, kubernetes_engine: OpenEngine, tmp_path: Path
) -> None:
    async def work(harness: KubernetesEngineHarness) -> None:
        waiting = f"{harness.latch.source}\ndef handle(event, context):\n    wait_for_latch()\n    return 'done'\n"
        route = harness.route("f", waiting, max_scale=BURST)
        harness.engine.resume(route)
        calls = [harness.call(route) for _ in range(BURST)]
        await harness.wait_for_handlers(BURST)
        starts = [call.request.cold_start for call in calls if call.request is not None]
        began = [start.started_at for start in starts if start is not None]
        assert len(began) == BURST
        assert max(began) < min(start.ended_at for start in starts if start is not None)  # none waited for another
        assert set(nodes_of(harness).values()) == all_nodes(cluster)
        harness.latch.release()
        assert [await call.body() for call in calls] == ["done"] * BURST

    run(kubernetes_engine, tmp_path, work)


@pytest.mark.long
def test_two_hundred_functions_are_called_at_once(kubernetes_engine: OpenEngine, tmp_path: Path) -> None:
    async def work(harness: KubernetesEngineHarness) -> None:
        first = harness.route("f", HELLO, memory=128, cpu=70, timeout=600.0)
        routes = [
            msgspec.structs.replace(first, function_id=f"f{number}", name=f"f{number}", hosts=(f"f{number}.test",))
            for number in range(FUNCTIONS)
        ]
        for route in routes:
            harness.engine.resume(route)
        calls = [harness.call(route) for route in routes]
        assert {await call.body() for call in calls} == {"hello"}
        assert len({call.instance_name for call in calls}) == FUNCTIONS
        # The next requests find all of them, and none was started twice.
        again = [harness.call(route) for route in routes]
        assert {await call.body() for call in again} == {"hello"}
        assert {call.instance_name for call in again} == {call.instance_name for call in calls}
        assert harness.instance_count() == FUNCTIONS
        harness.advance(901)
        await wait_until_async(lambda: harness.instance_count() == 0, what="no instance")
        assert harness.exits == []

    run(kubernetes_engine, tmp_path, work)


def test_node_that_is_cut_off_loses_only_the_requests_on_it(
    cluster: Cluster, kubernetes_engine: OpenEngine, tmp_path: Path
) -> None:
    async def work(harness: KubernetesEngineHarness) -> None:
        clients_count = 2 * len(all_nodes(cluster))
        route = await harness.start("f", SLOW, max_scale=clients_count)
        results: Counter[str] = Counter()
        stop = asyncio.Event()
        clients = [asyncio.create_task(client(harness, route, results, stop)) for _ in range(clients_count)]

        def have_started() -> bool:  # a node is noticed as lost by the connections to its instances
            metrics = harness.metrics(route)
            is_spread = set(nodes_of(harness).values()) == all_nodes(cluster)
            return is_spread and metrics.idle + metrics.busy == clients_count

        await wait_until_async(have_started, what="instances on each node")
        before = nodes_of(harness)
        lost = {name for name, node in before.items() if node == node_name(LOST_NODE)}
        await asyncio.to_thread(cluster.network.set_link, LOST_NODE, is_up=False)
        try:
            # Its instances are gone, and as many as before answer elsewhere.
            def are_replaced() -> bool:
                now = nodes_of(harness)
                metrics = harness.metrics(route)
                return not lost & now.keys() and metrics.idle + metrics.busy >= len(before) - 1

            await wait_until_async(are_replaced, LOAD_SECONDS, what="instances on the other nodes")
            assert node_name(LOST_NODE) not in nodes_of(harness).values()
            answered = results["done"]
            await wait_until_async(lambda: results["done"] > answered + 50, what="answers of the other nodes")
        finally:
            await asyncio.to_thread(cluster.network.set_link, LOST_NODE, is_up=True)
            stop.set()
        await asyncio.gather(*clients)
        assert results.keys() <= {"done", FailureKind.DIED.value}
        assert results[FailureKind.DIED.value] <= len(lost)  # each of its instances had one request at most

    try:
        run(kubernetes_engine, tmp_path, work)
    finally:
        wait_until(lambda: cluster.ready_nodes() == all_nodes(cluster), what="the node that was cut off")


async def client(
    harness: KubernetesEngineHarness, route: Route, results: Counter[str], stop: asyncio.Event
) -> None:
    """Call a function again and again, and count what comes back."""
    while not stop.is_set():
        await asyncio.sleep(0)  # a request that fails at once does not wait
        call = harness.call(route)
        body = await call.finished
        assert body is not None or call.failure is not None
        results[body if body is not None else str(call.failure and call.failure.kind.value)] += 1


def test_node_that_joins_gets_work(cluster: Cluster, kubernetes_engine: OpenEngine, tmp_path: Path) -> None:
    async def work(harness: KubernetesEngineHarness) -> None:
        number = max(cluster.network.nodes) + 1
        cluster.join_node(number)  # in this thread: a node ends with the thread that has started it
        await asyncio.to_thread(cluster.wait_for_nodes, number)
        waiting = f"{harness.latch.source}\ndef handle(event, context):\n    wait_for_latch()\n    return 'done'\n"
        count = 2 * len(all_nodes(cluster))
        route = harness.route("f", waiting, max_scale=count)
        harness.engine.resume(route)
        began = time.monotonic()
        calls = [harness.call(route) for _ in range(count)]
        await harness.wait_for_handlers(len(calls))
        assert node_name(number) in nodes_of(harness).values(), time.monotonic() - began
        harness.latch.release()
        assert [await call.body() for call in calls] == ["done"] * len(calls)

    run(kubernetes_engine, tmp_path, work)
