"""Metrics of the data plane compared with known requests: exact counts, over real sockets."""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fnkit.platform.model import routing
from fnkit.platform.model.metrics import HistogramSnapshot
from fnkit.platform.model.routing import ClockState
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_latch import HandlerLatch, handler_latch
from tests.support.metrics import function_metrics, read_metrics, wait_for_counts
from tests.support.waiting import wait_until

HANDLER = """
import os, time

def handle(event, context):
    match event["path"]:
        case "/boom":
            raise RuntimeError("no")
        case "/missing":
            return {"statusCode": 404, "body": "none"}
        case "/sleep":
            time.sleep(float(event["body"]))
        case "/wait":
            wait_for_latch()
        case "/exit":
            os._exit(3)
        case "/print":
            print("line\\n" * int(event["body"]))
        case "/eat":
            return str(len(b"x" * (400 * 1024 * 1024)))
        case "/grow":
            global held
            held = b"x" * (64 * 1024 * 1024)
    return "ok"
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        yield running


@pytest.fixture
def latch() -> Iterator[HandlerLatch]:
    with handler_latch() as standing:
        yield standing


def count(histogram: HistogramSnapshot | None) -> int:
    return sum(histogram.counts) if histogram is not None else 0


def test_request_is_counted_once_by_response_status(plane: DataPlaneProcess) -> None:
    route = plane.deploy("counted", HANDLER)
    for path, times in (("/", 7), ("/boom", 3), ("/missing", 2), ("/exit", 1)):
        for _ in range(times):
            plane.call("counted", path)
    now = function_metrics(plane, route)
    assert now.requests == {200: 7, 500: 3, 404: 2, 502: 1}
    assert count(now.durations) == count(now.queue_waits) == 13
    assert now.ends == {"exit": 1}
    assert (now.name, now.namespace, now.region) == ("counted", "tests", "fr-par")


def test_namespace_label_is_not_url_encoded(plane: DataPlaneProcess) -> None:
    route = plane.deploy("spaced", HANDLER, path_prefix="/fr-par/my%20shop%2F%C3%A9/spaced")
    assert function_metrics(plane, route).namespace == route.namespace == "my shop/é"


def test_uncalled_function_has_no_histograms(plane: DataPlaneProcess) -> None:
    now = function_metrics(plane, plane.deploy("uncalled", HANDLER))
    assert (now.requests, now.durations, now.queue_waits, now.cold_starts) == ({}, None, None, None)
    assert (now.idle, now.busy, now.starting, now.queued) == (1, 0, 0, 0)
    assert now.starts == {"ready": 1}


def test_cold_starts_count_only_requests_that_waited_for_a_start(
    plane: DataPlaneProcess, latch: HandlerLatch
) -> None:
    route = plane.deploy("cold", latch.source + HANDLER, max_scale=3)
    plane.call("cold")  # served by the instance that the deployment started
    assert count(function_metrics(plane, route).cold_starts) == 0
    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(plane.call, "cold", "/wait") for _ in range(3)]
        wait_for_counts(plane, route, busy=3)
        latch.release()
        assert [call.result().status for call in calls] == [200] * 3
    now = function_metrics(plane, route)
    assert count(now.cold_starts) == 2
    assert now.starts == {"ready": 3}
    assert now.cold_starts is not None
    assert now.queue_waits is not None
    assert now.cold_starts.total == pytest.approx(now.queue_waits.total)


def test_wait_for_busy_instance_is_not_a_cold_start(plane: DataPlaneProcess, latch: HandlerLatch) -> None:
    route = plane.deploy("queued", latch.source + HANDLER, max_scale=1)
    with ThreadPoolExecutor(3) as threads:
        calls = [threads.submit(plane.call, "queued", "/wait") for _ in range(3)]
        wait_for_counts(plane, route, busy=1, waiting=2)
        since = time.monotonic()
        wait_for_counts(plane, route, busy=1, waiting=2)
        waited = time.monotonic() - since
        latch.release()
        assert [call.result().status for call in calls] == [200, 200, 200]
    now = function_metrics(plane, route)
    assert count(now.cold_starts) == 0
    assert now.queue_waits is not None
    assert now.queue_waits.total > 2 * waited
    assert now.durations is not None
    assert now.durations.total >= now.queue_waits.total


def test_gigabyte_seconds_are_memory_times_busy_time(plane: DataPlaneProcess) -> None:
    route = plane.deploy("billed", HANDLER, memory=512)
    began = time.monotonic()
    for _ in range(2):
        plane.call("billed", "/sleep", method="POST", body=b"0.25")
    now = function_metrics(plane, route)
    assert 0.5 * 0.5 <= now.gigabyte_seconds <= 0.5 * (time.monotonic() - began)


def test_client_disconnect_counts_as_499_and_busy_time_is_billed(
    plane: DataPlaneProcess,
    latch: HandlerLatch,
) -> None:
    route = plane.deploy("disconnect", latch.source + HANDLER, max_scale=1, memory=1024)
    connection = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=60)
    connection.request("GET", "/wait", headers={"Host": "disconnect.test"})
    wait_for_counts(plane, route, busy=1)
    busy_since = time.monotonic()
    connection.close()
    wait_until(lambda: function_metrics(plane, route).requests == {499: 1})
    held_for = time.monotonic() - busy_since
    latch.release()
    assert plane.call("disconnect").body == b"ok"
    now = function_metrics(plane, route)
    assert now.requests == {499: 1, 200: 1}
    assert now.gigabyte_seconds >= held_for


def test_timeout_is_counted_as_504_and_ends_the_instance(plane: DataPlaneProcess) -> None:
    route = plane.deploy("late", HANDLER, timeout=0.3)
    assert plane.call("late", "/sleep", method="POST", body=b"30").status == 504
    wait_until(lambda: function_metrics(plane, route).ends == {"timeout": 1})
    assert function_metrics(plane, route).requests == {504: 1}


def test_full_queue_is_counted_as_503(plane: DataPlaneProcess, latch: HandlerLatch) -> None:
    route = plane.deploy("full", latch.source + HANDLER, max_scale=1)
    connections = []
    for _ in range(101):
        connection = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=60)
        connection.request("GET", "/wait", headers={"Host": "full.test"})
        connections.append(connection)
    wait_for_counts(plane, route, busy=1, waiting=100)
    assert plane.call("full").status == 503
    latch.release()
    for connection in connections:
        assert connection.getresponse().status == 200
        connection.close()
    now = function_metrics(plane, route)
    assert now.requests == {200: 101, 503: 1}
    assert (count(now.durations), count(now.queue_waits)) == (102, 101)


def test_gateway_response_is_not_counted_as_function_request(plane: DataPlaneProcess) -> None:
    route = plane.deploy("closed", HANDLER, privacy="private")
    before = read_metrics(plane).gateway_responses
    plane.call("closed")
    plane.call("closed")
    plane.call("unknown")
    plane.call_private_listener("data-plane", "/healthz")
    after = read_metrics(plane).gateway_responses
    assert {code: after[code] - before.get(code, 0) for code in after if after[code] != before.get(code, 0)} == {
        403: 2,
        404: 1,
    }
    assert function_metrics(plane, route).requests == {}


def test_log_lines_dropped_by_rate_limit_are_counted(plane: DataPlaneProcess) -> None:
    route = plane.deploy("loud", HANDLER)
    plane.call("loud", "/print", method="POST", body=b"29000")
    plane.call("loud", "/print", method="POST", body=b"29000")
    wait_until(lambda: function_metrics(plane, route).log_lines_dropped >= 28_000)


def test_counters_survive_redeploy_and_end_with_the_function(plane: DataPlaneProcess) -> None:
    plane.deploy("again", HANDLER)
    plane.call("again")
    route = plane.deploy("again", HANDLER, memory=128)
    plane.call("again")
    now = function_metrics(plane, route)
    assert now.requests == {200: 2}
    assert now.starts == {"ready": 2}
    plane.control.send_and_wait_for_ack(
        routing.RemoveFunction(version=plane.control.next_version(), function_id=route.function_id)
    )
    assert all(one.function_id != route.function_id for one in read_metrics(plane).engine.functions)


def test_memory_metric_includes_instance_memory(plane: DataPlaneProcess) -> None:
    route = plane.deploy("heavy", HANDLER)
    before = function_metrics(plane, route).memory_bytes
    assert before is not None
    plane.call("heavy", "/grow")

    def grown() -> bool:
        now = function_metrics(plane, route).memory_bytes
        return now is not None and now > before + 60 * 1024 * 1024

    wait_until(grown)


@pytest.mark.skipif(os.geteuid() != 0, reason="control groups need root")
def test_out_of_memory_exit_is_counted_as_oom(plane: DataPlaneProcess) -> None:
    route = plane.deploy("greedy", HANDLER, memory=128)
    assert plane.call("greedy", "/eat").status == 502
    assert function_metrics(plane, route).ends == {"oom": 1}


def test_memory_used_is_the_sum_of_instance_limits() -> None:
    with running_data_plane(memory_budget_mb=1000) as plane:
        plane.deploy("a", HANDLER, memory=256)
        plane.deploy("b", HANDLER, memory=512)
        engine = read_metrics(plane).engine
        assert (engine.memory_used_mb, engine.memory_limit_mb) == (768, 1000)


@pytest.mark.parametrize("isolation", ["none", "landlock", "namespaces"])
def test_memory_metric_is_resident_set_without_cgroups(isolation: str) -> None:
    user = 54321 if os.geteuid() == 0 else 0
    with running_data_plane(isolation=isolation, user=user) as plane:
        route = plane.deploy("plain", HANDLER)
        resident = function_metrics(plane, route).memory_bytes
        assert resident is not None
        assert 4 * 1024 * 1024 < resident < 200 * 1024 * 1024


def test_idle_instance_exit_is_counted_as_scaled_down() -> None:
    with running_data_plane() as plane:
        route = plane.deploy("brief", HANDLER)
        plane.call("brief")
        later = ClockState(platform_time=time.time() + 10_000, real_time=time.time(), speed=0.0)
        plane.control.send(routing.ClockChanged(version=plane.control.next_version(), clock=later))
        wait_until(lambda: function_metrics(plane, route).ends == {"scaled-down": 1})
        assert function_metrics(plane, route).idle == 0
        assert plane.call("brief").status == 200
        assert count(function_metrics(plane, route).cold_starts) == 1
