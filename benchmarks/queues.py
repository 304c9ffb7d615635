"""Compares NATS messages with HTTP requests to the same handler, which does nothing.

Each round measures ten keep-alive connections that send requests in a closed loop, a JetStream trigger that works
through a backlog with ten messages in flight, and nats-py alone, which pulls and acknowledges ten messages at a
time from the same broker. Afterwards, without other load, it measures the time from publishing a message to the
first line of its handler. On Linux it also measures the CPU time of each process per message and per request.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nats
from nats.js import JetStreamContext

from benchmarks.load import generate_load
from benchmarks.local_platform import LocalPlatform, local_platform, write_project
from benchmarks.measurement import Comparison, Figure
from benchmarks.processes import cpu_seconds, descendants

__all__ = ["run"]

CONNECTIONS = 10
SECONDS = 3.0
GOAL = 0.7
_BACKLOG = 60_000
_CLIENT_MESSAGES = 5000
_SINGLE_MESSAGES = 100
_PAUSE = 0.02

HANDLER = """import time

from fnkit import function, trigger


@trigger(nats="bench.nothing")
@function(memory=128, min_scale=1, max_scale=10)
def nothing(event, context):
    return "hello"


@trigger(nats="bench.delay")
@function(memory=128, min_scale=1, max_scale=1)
def delay(event, context):
    print(time.time() - float(event["body"]), flush=True)
    return "ok"
"""


def run(rounds: int, folder: Path) -> Sequence[Comparison | Figure]:
    """Measure seconds per message and per request, and further figures."""
    project = write_project(folder / "project", HANDLER)
    with local_platform(folder / "platform") as platform:
        return asyncio.run(_measure(rounds, project, platform))


async def _measure(rounds: int, project: Path, platform: LocalPlatform) -> Sequence[Comparison | Figure]:
    connection = await nats.connect(platform.status["nats_url"])
    try:
        stream = connection.jetstream()
        await stream.add_stream(name="BENCH", subjects=["bench.nothing", "bench.delay"])
        await stream.add_stream(name="BARE", subjects=["bare"])
        domains = sorted(await asyncio.to_thread(platform.deploy, project))
        domain = next(one for one in domains if "nothing" in one)
        consumers = await _wait_for_consumers(stream)
        messages, requests, bare, cpu = [], [], [], _CpuUsage(platform)
        for _ in range(rounds):
            before = cpu.read()
            requests.append(await asyncio.to_thread(_measure_requests, platform, domain))
            cpu.record("request", before, SECONDS / requests[-1])
            messages.append(await _measure_backlog(connection, stream, consumers["bench.nothing"], cpu))
            bare.append(await _measure_client_alone(connection, stream))
        delays = await _measure_delays(connection, platform)
    finally:
        await connection.close()
    comparison = Comparison(
        "a message of a queue, 10 in flight",
        "a request, 10 connections",
        tuple(messages),
        tuple(requests),
        1 / GOAL,
    )
    return [
        comparison,
        Figure("messages a second through a handler", 1 / statistics.median(messages), "a second"),
        Figure("requests a second to that handler", 1 / statistics.median(requests), "a second"),
        Figure("nats-py alone, pulling and acknowledging 10 at a time", 1 / statistics.median(bare), "a second"),
        Figure("publish to handler, median", statistics.median(delays) * 1000, "ms"),
        Figure("publish to handler, 99th percentile", sorted(delays)[int(len(delays) * 0.99)] * 1000, "ms"),
        *cpu.figures(),
    ]


async def _wait_for_consumers(stream: JetStreamContext) -> dict[str, str]:
    """Wait for the durable consumers of the triggers and return their names by subject."""
    while True:
        consumers = await stream.consumers_info("BENCH")
        found = {str(one.config.filter_subject): str(one.config.durable_name) for one in consumers}
        if len(found) == 2:
            return found
        await asyncio.sleep(0.1)


def _measure_requests(platform: LocalPlatform, domain: str) -> float:
    body = b"hello"
    request = (
        f"POST / HTTP/1.1\r\nHost: {domain}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return generate_load(
        platform.gateway, request.encode() + body, connections=CONNECTIONS, seconds=SECONDS
    ).seconds_per_request


class _CpuUsage:
    """CPU seconds of the platform's processes per message or request; empty except on Linux."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._processes = dict(platform.status["processes"]) if sys.platform.startswith("linux") else {}
        self._found: dict[tuple[str, str], list[float]] = {}

    def read(self) -> dict[str, float]:
        """Return the CPU seconds of each process so far."""
        found = {name: cpu_seconds(pid) for name, pid in self._processes.items()}
        for pid in descendants(self._processes["data_plane"]) if self._processes else ():
            with contextlib.suppress(OSError):  # the instance may exit meanwhile
                found["instances"] = found.get("instances", 0.0) + cpu_seconds(pid)
        return found

    def record(self, what: str, before: dict[str, float], number: float) -> None:
        """Record the CPU seconds per operation since ``before``, for ``number`` operations."""
        for name, seconds in self.read().items():
            self._found.setdefault((what, name), []).append((seconds - before.get(name, 0.0)) / number)

    def figures(self) -> list[Figure]:
        """Return the medians of all rounds."""
        return [
            Figure(f"CPU per {what}: {name.replace('_', ' ')}", statistics.median(seconds) * 1e6, "µs")
            for (what, name), seconds in self._found.items()
        ]


async def _measure_backlog(connection: Any, stream: JetStreamContext, consumer: str, cpu: _CpuUsage) -> float:
    for number in range(_BACKLOG):
        await connection.publish("bench.nothing", b"hello")
        if number % 1000 == 0:
            await connection.flush()
    await connection.flush()
    before, started, done = cpu.read(), time.perf_counter(), await _acknowledged_count(stream, consumer)
    await asyncio.sleep(SECONDS)
    elapsed, more = time.perf_counter() - started, await _acknowledged_count(stream, consumer)
    cpu.record("message", before, more - done)
    if (await stream.consumer_info("BENCH", consumer)).num_pending == 0:
        raise RuntimeError("the backlog was too small for this machine")
    await stream.purge_stream("BENCH")
    return elapsed / (more - done)


async def _acknowledged_count(stream: JetStreamContext, consumer: str) -> int:
    found = await stream.consumer_info("BENCH", consumer)
    return int(found.delivered.consumer_seq) - int(found.num_ack_pending or 0)


async def _measure_client_alone(connection: Any, stream: JetStreamContext) -> float:
    for _ in range(_CLIENT_MESSAGES):
        await connection.publish("bare", b"hello")
    await connection.flush()
    subscription = await stream.pull_subscribe("bare", durable="bare")
    started, remaining = time.perf_counter(), _CLIENT_MESSAGES
    while remaining:
        for message in await subscription.fetch(min(remaining, CONNECTIONS)):
            await message.ack()
            remaining -= 1
    elapsed = time.perf_counter() - started
    await subscription.unsubscribe()
    return elapsed / _CLIENT_MESSAGES


async def _measure_delays(connection: Any, platform: LocalPlatform) -> list[float]:
    for _ in range(_SINGLE_MESSAGES):
        await connection.publish("bench.delay", str(time.time()).encode())
        await connection.flush()
        await asyncio.sleep(_PAUSE)
    logs = Path(platform.status["data_dir"]) / "logs"
    while True:
        lines = [json.loads(line) for file in logs.glob("*/0*.jsonl") for line in file.read_bytes().splitlines()]
        found = [float(line["message"]) for line in lines if line["message"].startswith("0.")]
        if len(found) >= _SINGLE_MESSAGES:
            return found
        await asyncio.sleep(0.1)
