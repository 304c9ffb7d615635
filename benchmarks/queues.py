"""Messages of a queue through a handler that does nothing, against a closed loop of requests to the same handler.

In one run, in turns: ten keep-alive connections that ask through the gateway as fast as they are answered; a
JetStream trigger working through a backlog, ten messages in flight; nats-py alone, pulling and acknowledging ten at
a time from the same broker. And, with nothing else to do, the time from publishing a message to its handler's first
line. On Linux also what each process works for a message, and for a request.
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

from benchmarks.load import generate
from benchmarks.local_platform import LocalPlatform, local_platform, written_project
from benchmarks.measuring import Comparison, Figure
from benchmarks.processes import cpu_seconds, descendants

__all__ = ["run"]

CONNECTIONS = 10
SECONDS = 3.0
GOAL = 0.7
_BACKLOG = 60_000
_BARE = 5000
_LONE = 100
_PACE = 0.02

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
    """Seconds a message, seconds a request; and the figures beside them."""
    project = written_project(folder / "project", HANDLER)
    with local_platform(folder / "platform") as platform:
        return asyncio.run(_measured(rounds, project, platform))


async def _measured(rounds: int, project: Path, platform: LocalPlatform) -> Sequence[Comparison | Figure]:
    connection = await nats.connect(platform.facts["nats_url"])
    try:
        stream = connection.jetstream()
        await stream.add_stream(name="BENCH", subjects=["bench.nothing", "bench.delay"])
        await stream.add_stream(name="BARE", subjects=["bare"])
        domains = sorted(await asyncio.to_thread(platform.deployed, project))
        domain = next(one for one in domains if "nothing" in one)
        consumers = await _consumers(stream)
        messages, requests, bare, work = [], [], [], _Work(platform)
        for _ in range(rounds):
            before = work.now()
            requests.append(await asyncio.to_thread(_closed_loop, platform, domain))
            work.note("request", before, SECONDS / requests[-1])
            messages.append(await _backlog(connection, stream, consumers["bench.nothing"], work))
            bare.append(await _alone(connection, stream))
        delays = await _delays(connection, platform)
    finally:
        await connection.close()
    compared = Comparison(
        "a message of a queue, 10 in flight",
        "a request, 10 connections",
        tuple(messages),
        tuple(requests),
        1 / GOAL,
    )
    return [
        compared,
        Figure("messages a second through a handler", 1 / statistics.median(messages), "a second"),
        Figure("requests a second to that handler", 1 / statistics.median(requests), "a second"),
        Figure("nats-py alone, pulling and acknowledging 10 at a time", 1 / statistics.median(bare), "a second"),
        Figure("publish to handler, median", statistics.median(delays) * 1000, "ms"),
        Figure("publish to handler, 99th percentile", sorted(delays)[int(len(delays) * 0.99)] * 1000, "ms"),
        *work.figures(),
    ]


async def _consumers(stream: JetStreamContext) -> dict[str, str]:
    """Durable consumers of the triggers by subject, once they are there."""
    while True:
        consumers = await stream.consumers_info("BENCH")
        found = {str(one.config.filter_subject): str(one.config.durable_name) for one in consumers}
        if len(found) == 2:
            return found
        await asyncio.sleep(0.1)


def _closed_loop(platform: LocalPlatform, domain: str) -> float:
    body = b"hello"
    request = (
        f"POST / HTTP/1.1\r\nHost: {domain}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return generate(
        platform.gateway, request.encode() + body, connections=CONNECTIONS, seconds=SECONDS
    ).seconds_each


class _Work:
    """CPU seconds of the platform's processes for each message or request, in the rounds so far; Linux alone."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._processes = dict(platform.facts["processes"]) if sys.platform.startswith("linux") else {}
        self._found: dict[tuple[str, str], list[float]] = {}

    def now(self) -> dict[str, float]:
        """CPU seconds so far, by process."""
        found = {name: cpu_seconds(pid) for name, pid in self._processes.items()}
        for pid in descendants(self._processes["data_plane"]) if self._processes else ():
            with contextlib.suppress(OSError):  # it may end at any moment
                found["instances"] = found.get("instances", 0.0) + cpu_seconds(pid)
        return found

    def note(self, what: str, before: dict[str, float], number: float) -> None:
        """Count what was done since then for so many messages or requests."""
        for name, seconds in self.now().items():
            self._found.setdefault((what, name), []).append((seconds - before.get(name, 0.0)) / number)

    def figures(self) -> list[Figure]:
        """Medians of all rounds."""
        return [
            Figure(f"CPU a {what}: {name.replace('_', ' ')}", statistics.median(seconds) * 1e6, "µs")
            for (what, name), seconds in self._found.items()
        ]


async def _backlog(connection: Any, stream: JetStreamContext, consumer: str, work: _Work) -> float:
    for number in range(_BACKLOG):
        await connection.publish("bench.nothing", b"hello")
        if number % 1000 == 0:
            await connection.flush()
    await connection.flush()
    before, began, done = work.now(), time.perf_counter(), await _acknowledged(stream, consumer)
    await asyncio.sleep(SECONDS)
    elapsed, more = time.perf_counter() - began, await _acknowledged(stream, consumer)
    work.note("message", before, more - done)
    if (await stream.consumer_info("BENCH", consumer)).num_pending == 0:
        raise RuntimeError("the backlog was too small for this machine")
    await stream.purge_stream("BENCH")
    return elapsed / (more - done)


async def _acknowledged(stream: JetStreamContext, consumer: str) -> int:
    found = await stream.consumer_info("BENCH", consumer)
    return int(found.delivered.consumer_seq) - int(found.num_ack_pending or 0)


async def _alone(connection: Any, stream: JetStreamContext) -> float:
    for _ in range(_BARE):
        await connection.publish("bare", b"hello")
    await connection.flush()
    subscription = await stream.pull_subscribe("bare", durable="bare")
    began, left = time.perf_counter(), _BARE
    while left:
        for message in await subscription.fetch(min(left, CONNECTIONS)):
            await message.ack()
            left -= 1
    elapsed = time.perf_counter() - began
    await subscription.unsubscribe()
    return elapsed / _BARE


async def _delays(connection: Any, platform: LocalPlatform) -> list[float]:
    for _ in range(_LONE):
        await connection.publish("bench.delay", str(time.time()).encode())
        await connection.flush()
        await asyncio.sleep(_PACE)
    logs = Path(platform.facts["data_dir"]) / "logs"
    while True:
        lines = [json.loads(line) for file in logs.glob("*/0*.jsonl") for line in file.read_bytes().splitlines()]
        found = [float(line["message"]) for line in lines if line["message"].startswith("0.")]
        if len(found) >= _LONE:
            return found
        await asyncio.sleep(0.1)
