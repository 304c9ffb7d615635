"""A thousand deployed functions that nobody calls, and two hundred of them called at once.

All are deployed by ``fnkit deploy``, each with ``max_scale`` 1, and scale to zero. A platform with one function
runs beside it, so that cold starts are compared in the same run. Memory is the proportional set size: a page that
several processes share counts in parts.
"""

from __future__ import annotations

import selectors
import statistics
import time
from functools import partial
from pathlib import Path

from benchmarks.load import Client
from benchmarks.local_platform import LocalPlatform, local_platform, request_for, sleeping, written_project
from benchmarks.measuring import Comparison, Figure, in_turns
from benchmarks.processes import cpu_seconds, descendants, memory, need_linux

__all__ = ["run"]

FUNCTIONS = 1000
AT_ONCE = 200
IDLE_SECONDS = 10.0
COLD_STARTS = 5
"""Cold starts a round, of as many functions: the median counts."""

_MIB = 1024 * 1024


def run(rounds: int, folder: Path) -> list[Comparison | Figure]:
    """Memory and idle CPU of each process, cold starts, and the burst."""
    need_linux()
    one = written_project(folder / "one", _handlers(1))
    many = written_project(folder / "many", _handlers(FUNCTIONS))
    with (
        local_platform(folder / "platform-one", "--manual-clock") as alone,
        local_platform(folder / "platform-many", "--manual-clock") as crowded,
    ):
        domain = alone.deployed(one)[0]
        started = time.perf_counter()
        domains = crowded.deployed(many)
        deployed = time.perf_counter() - started
        for platform in (alone, crowded):
            platform.advance(1000)
        time.sleep(5)  # what a deploy leaves to be done is done
        found: list[Comparison | Figure] = [Figure(f"deploy of {FUNCTIONS:,} functions", deployed, "s")]
        found += _at_rest(alone, "1 function")
        found += _at_rest(crowded, f"{FUNCTIONS:,} functions")
        figures = in_turns(rounds, partial(_cold, crowded, domains), partial(_cold, alone, [domain]))
        what = f"cold start of one of {FUNCTIONS:,} functions"
        found.append(Comparison(what, "of the only one", *figures, goal=1.5))
        found += _burst(crowded, domains[:AT_ONCE])
    return found


def _handlers(marked: int) -> str:
    """Return a module of ``FUNCTIONS`` handlers, so many of them deployed: a start imports the whole module."""
    handler = '\n\n@{mark}(memory=128, max_scale=1)\ndef f_{number}(event, context):\n    return "hello"\n'
    unmarked = "\n\ndef unmarked(**settings):\n    return function(**settings)\n"
    marks = ("function" if number < marked else "unmarked" for number in range(FUNCTIONS))
    handlers = "".join(handler.format(mark=mark, number=number) for number, mark in enumerate(marks))
    return "from fnkit import function\n" + unmarked + handlers


def _at_rest(platform: LocalPlatform, what: str) -> list[Figure]:
    """What each process takes while nothing happens."""
    processes = platform.facts["processes"]
    groups = {
        "supervisor": [platform.facts["pid"]],
        "control": [processes["control"]],
        "data plane": [platform.data_plane],
        "zygotes and blanks": descendants(platform.data_plane),
    }
    before = {pid: cpu_seconds(pid) for pids in groups.values() for pid in pids}
    time.sleep(IDLE_SECONDS)
    found = []
    for name, pids in groups.items():
        used = sum(cpu_seconds(pid) - before[pid] for pid in pids)
        sizes = [memory(pid) for pid in pids]
        number = f" ({len(pids)})" if len(pids) > 1 else ""
        found += [
            Figure(f"{what} idle: {name}{number}, memory", sum(size.pss for size in sizes) / _MIB, "MiB"),
            Figure(f"{what} idle: {name}{number}, CPU", used / IDLE_SECONDS * 100, "%"),
        ]
    return found


def _cold(platform: LocalPlatform, domains: list[str]) -> float:
    """Seconds; each function but the only one is called once in a run, and none twice in a row."""
    chosen = [domains.pop() for _ in range(COLD_STARTS)] if len(domains) > COLD_STARTS else domains * COLD_STARTS
    return statistics.median(sleeping(platform, domain) for domain in chosen)


def _burst(platform: LocalPlatform, domains: list[str]) -> list[Figure]:
    """Call all of them at once, each on a connection of its own. ``RuntimeError`` unless all answer 200."""
    platform.advance(1000)
    time.sleep(1)
    waits: list[float] = []
    with selectors.DefaultSelector() as selector:
        clients = [Client(platform.gateway, request_for(domain)) for domain in domains]
        started = time.perf_counter()
        for client in clients:
            client.ask()
            selector.register(client.socket, selectors.EVENT_READ, client)
        while len(waits) < len(clients):
            for key, _ in selector.select(60) or _nobody():
                if key.data.hear():
                    waits.append(time.perf_counter() - started)
                    selector.unregister(key.fileobj)
                    key.data.socket.close()
    waits.sort()
    what = f"{len(domains)} functions called at once, max_scale 1, all answered"
    return [
        Figure(f"{what}: p50", statistics.median(waits) * 1000, "ms"),
        Figure(f"{what}: p99", waits[int(len(waits) * 0.99)] * 1000, "ms"),
        Figure(f"{what}: last", waits[-1] * 1000, "ms"),
    ]


def _nobody() -> list[tuple[selectors.SelectorKey, int]]:
    raise RuntimeError("a minute without an answer")
