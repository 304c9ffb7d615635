"""Measures a platform with a thousand idle functions, and two hundred of them called at once.

``fnkit deploy`` deploys them, each with ``max_scale`` 1, and they scale to zero. A second platform with one
function is the reference for cold starts. Memory is the proportional set size, which divides a shared page between
its processes.
"""

from __future__ import annotations

import selectors
import statistics
import time
from functools import partial
from pathlib import Path

from benchmarks.load import Client
from benchmarks.local_platform import (
    LocalPlatform,
    build_request,
    local_platform,
    measure_cold_start,
    write_project,
)
from benchmarks.measurement import Comparison, Figure, measure_alternately
from benchmarks.processes import cpu_seconds, descendants, memory, require_linux

__all__ = ["run"]

FUNCTIONS = 1000
BURST_FUNCTIONS = 200
IDLE_SECONDS = 10.0
COLD_STARTS = 5
"""Cold starts per round, each of another function; the result is their median."""

_MIB = 1024 * 1024


def run(rounds: int, folder: Path) -> list[Comparison | Figure]:
    """Measure memory and idle CPU of each process, cold starts, and a burst of requests."""
    require_linux()
    one = write_project(folder / "one", _handlers(1))
    many = write_project(folder / "many", _handlers(FUNCTIONS))
    with (
        local_platform(folder / "platform-one", "--manual-clock") as alone,
        local_platform(folder / "platform-many", "--manual-clock") as crowded,
    ):
        domain = alone.deploy(one)[0]
        started = time.perf_counter()
        domains = crowded.deploy(many)
        deployed = time.perf_counter() - started
        for platform in (alone, crowded):
            platform.advance(1000)
        time.sleep(5)  # background work after a deploy finishes
        results: list[Comparison | Figure] = [Figure(f"deploy of {FUNCTIONS:,} functions", deployed, "s")]
        results += _measure_idle(alone, "1 function")
        results += _measure_idle(crowded, f"{FUNCTIONS:,} functions")
        figures = measure_alternately(
            rounds, partial(_measure_cold_starts, crowded, domains), partial(_measure_cold_starts, alone, [domain])
        )
        what = f"cold start of one of {FUNCTIONS:,} functions"
        results.append(Comparison(what, "of the only one", *figures, goal=1.5))
        results += _measure_burst(crowded, domains[:BURST_FUNCTIONS])
    return results


def _handlers(marked: int) -> str:
    """Return a module of ``FUNCTIONS`` handlers, of which the first ``marked`` are functions.

    A start imports the whole module, so both platforms import modules of the same size.
    """
    handler = '\n\n@{mark}(memory=128, max_scale=1)\ndef f_{number}(event, context):\n    return "hello"\n'
    unmarked = "\n\ndef unmarked(**settings):\n    return function(**settings)\n"
    marks = ("function" if number < marked else "unmarked" for number in range(FUNCTIONS))
    handlers = "".join(handler.format(mark=mark, number=number) for number, mark in enumerate(marks))
    return "from fnkit import function\n" + unmarked + handlers


def _measure_idle(platform: LocalPlatform, label: str) -> list[Figure]:
    """Return memory and CPU usage of each process of an idle platform."""
    processes = platform.status["processes"]
    groups = {
        "supervisor": [platform.status["pid"]],
        "control": [processes["control"]],
        "data plane": [platform.data_plane_pid],
        "zygotes and pre-warmed workers": descendants(platform.data_plane_pid),
    }
    before = {pid: cpu_seconds(pid) for pids in groups.values() for pid in pids}
    time.sleep(IDLE_SECONDS)
    results = []
    for name, pids in groups.items():
        used = sum(cpu_seconds(pid) - before[pid] for pid in pids)
        sizes = [memory(pid) for pid in pids]
        number = f" ({len(pids)})" if len(pids) > 1 else ""
        results += [
            Figure(f"{label} idle: {name}{number}, memory", sum(size.pss for size in sizes) / _MIB, "MiB"),
            Figure(f"{label} idle: {name}{number}, CPU", used / IDLE_SECONDS * 100, "%"),
        ]
    return results


def _measure_cold_starts(platform: LocalPlatform, domains: list[str]) -> float:
    """Return the median of several cold starts in seconds.

    Each function is called only once in a run, except if there is only one.
    """
    selected = [domains.pop() for _ in range(COLD_STARTS)] if len(domains) > COLD_STARTS else domains * COLD_STARTS
    return statistics.median(measure_cold_start(platform, domain) for domain in selected)


def _measure_burst(platform: LocalPlatform, domains: list[str]) -> list[Figure]:
    """Call all functions at once, each on its own connection.

    Raises:
        RuntimeError: A status is not 200, or there is no response for a minute.
    """
    platform.advance(1000)
    time.sleep(1)
    latencies: list[float] = []
    with selectors.DefaultSelector() as selector:
        clients = [Client(platform.gateway, build_request(domain)) for domain in domains]
        started = time.perf_counter()
        for client in clients:
            client.send()
            selector.register(client.socket, selectors.EVENT_READ, client)
        while len(latencies) < len(clients):
            for key, _ in selector.select(60) or _raise_timeout():
                if key.data.receive():
                    latencies.append(time.perf_counter() - started)
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
    latencies.sort()
    what = f"{len(domains)} functions called at once, max_scale 1, all answered"
    return [
        Figure(f"{what}: p50", statistics.median(latencies) * 1000, "ms"),
        Figure(f"{what}: p99", latencies[int(len(latencies) * 0.99)] * 1000, "ms"),
        Figure(f"{what}: last", latencies[-1] * 1000, "ms"),
    ]


def _raise_timeout() -> list[tuple[selectors.SelectorKey, int]]:
    raise RuntimeError("no response for a minute")
