"""One run: rolling updates, which may lose no request, random actions under load, and the search for leaks."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.soak.actions import Actions
from tests.soak.idle_functions import IdleFunctions
from tests.soak.leaked_resources import LeakedResources, find_leaked_resources, process_usage
from tests.soak.load import LoadClient
from tests.soak.oracle import Oracle
from tests.soak.platform import SoakPlatform, start
from tests.support.waiting import wait_until

__all__ = ["SoakReport", "soak"]

_ROLLING_SHARE = 0.15
_GROWTH_MAX_KIB = 64 * 1024
_SETTLE_SECONDS = 30.0
_LEAK_SECONDS = 5.0
_FAULTS_MAX = 20
_SAMPLES = 6


@dataclass
class SoakReport:
    """The result of a run."""

    seed: int
    isolation: str = ""
    rolling_update_counts: dict[str, int] = field(default_factory=dict)
    deploys: int = 0
    status_counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    action_counts: dict[str, int] = field(default_factory=dict)
    memory: dict[str, str] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    idle: str = ""
    leaked: LeakedResources | None = None
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Whether there were no faults and no leaks."""
        return not self.faults and not self.leaked

    def text(self) -> str:
        """Return a summary, and with faults also the log of all actions."""
        actions = ", ".join(f"{number} {kind}" for kind, number in sorted(self.action_counts.items()))
        lines = [
            f"soak: seed {self.seed}, {self.seconds:.0f} s, isolation {self.isolation}",
            f"rolling update: {self.deploys} deploys, responses {self.rolling_update_counts}",
            f"actions: {len(self.actions)} ({actions})",
            f"responses by status (0: none): {dict(sorted(self.status_counts.items()))}",
            *(f"{name}: {text}" for name, text in self.memory.items()),
            *self.samples,
            f"idle functions: {self.idle}",
            f"leaked: {self.leaked or 'nothing'}",
            f"faults: {len(self.faults)}",
        ]
        if not self.is_good:
            lines += [*self.faults[:40], f"repeat with --seed {self.seed}; actions:", *self.actions]
        return "\n".join(lines) + "\n"


def soak(
    *,
    seconds: float,
    seed: int,
    isolation: str = "auto",
    clients: int = 6,
    clock_speed: float = 10,
    idle_functions: int = 0,
) -> SoakReport:
    """Run for about this many seconds.

    Args:
        seconds: Length of the run, without the deployment of idle functions.
        seed: Determines the actions.
        isolation: Isolation level.
        clients: Number of clients that call functions.
        clock_speed: Seconds of platform time per second.
        idle_functions: Number of functions that exist besides and are not called.
    """
    report = SoakReport(seed)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="fnkit-soak-"))
    home = folder / "home"
    known_pids: set[int] = set()
    try:
        platform = start(home, "--clock-speed", f"{clock_speed:g}", "--isolation", isolation, "--quota", "none")
        try:
            report.isolation = platform.isolation
            idle = IdleFunctions(platform, idle_functions)
            began = time.monotonic()
            _run_load(platform, report, began + seconds, clients, known_pids, idle)
        finally:
            platform.stop()
        _find_leaks(home, report, known_pids)
    finally:
        report.seconds = time.monotonic() - began
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _run_load(
    platform: SoakPlatform, report: SoakReport, end: float, clients: int, known_pids: set[int], idle: IdleFunctions
) -> None:
    oracle = Oracle()
    actions = Actions(platform, oracle, report.seed)
    actions.create()
    actions.create()
    load = [
        LoadClient(platform.gateway, oracle, lambda: actions.functions, report.seed + n) for n in range(clients)
    ]
    for client in load:
        client.start()
    try:
        before = _run_actions(platform, report, oracle, actions, end, known_pids)
    except Exception as error:  # noqa: BLE001  (any exception is a fault of the run, reported with its actions)
        oracle.add_fault(f"the run failed: {error!r}")
        before = {}
    finally:
        for client in load:
            client.stop()
    if before:
        _check_growth(platform, report, oracle, before)
        report.idle = idle.check(oracle)
    report.status_counts, report.faults, report.actions = oracle.counts, oracle.faults, actions.log
    report.action_counts = actions.counts


def _run_actions(
    platform: SoakPlatform, report: SoakReport, oracle: Oracle, actions: Actions, end: float, known_pids: set[int]
) -> dict[str, tuple[int, tuple[int, int, int]]]:
    """Run rolling updates, then random actions; return the usage of the processes in between."""
    rolling_end = time.monotonic() + (end - time.monotonic()) * _ROLLING_SHARE
    while time.monotonic() < rolling_end:
        actions.deploy_undisturbed()
        report.deploys += 1
    report.rolling_update_counts = dict(oracle.counts)
    if set(report.rolling_update_counts) != {"200"}:
        oracle.add_fault(f"a rolling update lost requests: {report.rolling_update_counts}")
    known_pids |= set(platform.processes().values())
    before = {name: (pid, process_usage(pid)) for name, pid in platform.processes().items()}
    began = time.monotonic()
    sample_times = [began + (end - began) * number / _SAMPLES for number in range(_SAMPLES)]
    while time.monotonic() < end and len(oracle.faults) < _FAULTS_MAX:
        if sample_times and time.monotonic() >= sample_times[0]:
            report.samples.append(f"after {time.monotonic() - began:.0f} s: {_usage(platform)}")
            del sample_times[0]
        actions.run_random_action()
        known_pids |= set(platform.processes().values())
    platform.wait_until_healthy()
    report.samples.append(f"at the end: {_usage(platform)}")
    return before


def _usage(platform: SoakPlatform) -> str:
    """Return the memory of the processes and the size of the data directory, with its largest parts."""
    platform.wait_until_healthy()
    resident = [f"{name} {process_usage(pid)[1] // 1024} MiB" for name, pid in platform.processes().items()]
    sizes: Counter[str] = Counter()
    for folder, _, names in os.walk(platform.home):
        for name in names:
            path = Path(folder, name)
            with suppress(OSError):  # it has just been removed
                sizes[path.relative_to(platform.home).parts[0]] += path.lstat().st_blocks
    parts = ", ".join(f"{name} {blocks // 2048}" for name, blocks in sizes.most_common(4))
    return f"{', '.join(resident)}, data directory {sizes.total() // 2048} MiB ({parts})"


def _check_growth(
    platform: SoakPlatform, report: SoakReport, oracle: Oracle, before: dict[str, tuple[int, tuple[int, int, int]]]
) -> None:
    """Compare the usage of the processes after the load with that before."""
    for name, pid in platform.processes().items():
        _, (descriptors, resident, _) = before[name]
        with suppress(AssertionError):
            wait_until(partial(_has_at_most_descriptors, pid, descriptors + 8), _SETTLE_SECONDS)
        now = process_usage(pid)
        report.memory[name] = (
            f"{resident // 1024} → {now[1] // 1024} MiB, {descriptors} → {now[0]} descriptors, {now[2]} descendants"
        )
        if now[1] - resident > _GROWTH_MAX_KIB:
            oracle.add_fault(f"{name} grew by {(now[1] - resident) // 1024} MiB")


def _find_leaks(home: Path, report: SoakReport, known_pids: set[int]) -> None:
    with suppress(AssertionError):
        wait_until(lambda: not find_leaked_resources(home, known_pids), _LEAK_SECONDS)
    report.leaked = find_leaked_resources(home, known_pids)


def _has_at_most_descriptors(pid: int, number: int) -> bool:
    return process_usage(pid)[0] <= number
