"""A thousand queued messages while the node that handles a part of them is cut off."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.engine_harness import FunctionImages
from tests.cluster.engine_under_test import ClusterEngine
from tests.cluster.network import node_name
from tests.support.engine_under_test import using_engine
from tests.support.queue_platform import (
    QueuePlatform,
    connected_client,
    queue_platform,
    sleeping_handler,
    wait_until_acknowledged,
)
from tests.support.waiting import wait_until, wait_until_async

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

MESSAGES = 1000
INSTANCES = 6
HANDLED_BEFORE = 100
LOST_NODE = 2
SECONDS = 120.0


@pytest.fixture
def platform(cluster: Cluster, function_images: FunctionImages, tmp_path: Path) -> Iterator[QueuePlatform]:
    with using_engine(ClusterEngine(cluster, function_images)), queue_platform(tmp_path) as platform:
        yield platform


def instances_on(cluster: Cluster, platform: QueuePlatform, node: str) -> set[str]:
    """Return the names of the instances on a node."""
    pods = cluster.items(
        "pods", "--all-namespaces", "--selector=fnkit.dev/platform", f"--field-selector=spec.nodeName={node}"
    )
    names = {str(metadata["name"]) for pod in pods if isinstance(metadata := pod["metadata"], dict)}
    return names & set(platform.instances())


def test_node_that_is_cut_off_loses_no_queued_message(cluster: Cluster, platform: QueuePlatform) -> None:
    function = platform.deploy(sleeping_handler(0.05), max_scale=INSTANCES)
    nodes = cluster.ready_nodes()

    async def main() -> set[str]:
        async with connected_client(platform.url) as (_, stream):
            await stream.add_stream(name="WORK", subjects=["work"])
            trigger = await asyncio.to_thread(platform.create_listening_trigger, function, "work")
            for number in range(MESSAGES):
                await stream.publish("work", f"message {number}".encode())
            await wait_until_async(
                lambda: len(platform.handled_bodies(function)) >= HANDLED_BEFORE, what="the first messages"
            )
            lost = await asyncio.to_thread(instances_on, cluster, platform, node_name(LOST_NODE))
            await asyncio.to_thread(cluster.network.set_link, LOST_NODE, is_up=False)
            try:
                await wait_until_async(
                    lambda: len(set(platform.handled_bodies(function))) == MESSAGES,
                    SECONDS,
                    what="every message is handled",
                )
                await wait_until_acknowledged(stream, "WORK", trigger)
            finally:
                await asyncio.to_thread(cluster.network.set_link, LOST_NODE, is_up=True)
            return lost

    try:
        lost = asyncio.run(main())
    finally:
        wait_until(lambda: cluster.ready_nodes() == nodes, what="the node that was cut off")
    assert lost
    handled = Counter(platform.handled_bodies(function))
    assert handled.keys() == {f"message {number}" for number in range(MESSAGES)}
    # A message that an instance on that node had handled, and could not answer, is delivered again.
    assert handled.total() - MESSAGES <= len(lost)
