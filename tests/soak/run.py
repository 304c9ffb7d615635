"""One run: rolling updates that may lose nothing, then random actions under load, then the end and what is left."""

from __future__ import annotations

import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.soak.actions import Actions
from tests.soak.load import Client
from tests.soak.oracle import Oracle
from tests.soak.remains import Remains, held, remains
from tests.soak.subject import Subject, start

__all__ = ["Report", "soak"]

_ROLLING_SHARE = 0.15
_GROWTH_MAX_KIB = 64 * 1024
_SETTLE_SECONDS = 30.0
_FAULTS_MAX = 20


@dataclass
class Report:
    """What happened and what was wrong."""

    seed: int
    isolation: str = ""
    rolling: dict[str, int] = field(default_factory=dict)
    deploys: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    actions: list[str] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    memory: dict[str, str] = field(default_factory=dict)
    remains: Remains | None = None
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """Nothing was wrong and nothing is left."""
        return not self.faults and not self.remains

    def text(self) -> str:
        """What a reader wants to know; everything, when something was wrong."""
        lines = [
            f"soak: seed {self.seed}, {self.seconds:.0f} s, isolation {self.isolation}",
            f"rolling update: {self.deploys} deploys, answers {self.rolling}",
            f"actions: {len(self.actions)} ({', '.join(f'{n} {kind}' for kind, n in sorted(self.kinds.items()))})",
            f"answers by status (0: no answer): {dict(sorted(self.counts.items()))}",
            *(f"{name}: {text}" for name, text in self.memory.items()),
            f"left behind: {self.remains or 'nothing'}",
            f"wrong: {len(self.faults)}",
        ]
        if not self.is_good:
            lines += [*self.faults[:40], f"again with --seed {self.seed}; actions:", *self.actions]
        return "\n".join(lines) + "\n"


def soak(*, seconds: float, seed: int, isolation: str = "auto", clients: int = 6) -> Report:
    """Run for about this long."""
    report = Report(seed)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="fnkit-soak-"))
    home = folder / "home"
    followed: set[int] = set()
    try:
        subject = start(home, "--clock-speed", "10", "--isolation", isolation)
        try:
            report.isolation = subject.isolation
            _soak(subject, report, began + seconds, clients, followed)
        finally:
            subject.stop()
        _look_at_what_is_left(home, report, followed)
    finally:
        report.seconds = time.monotonic() - began
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _soak(subject: Subject, report: Report, end: float, clients: int, followed: set[int]) -> None:
    oracle = Oracle()
    actions = Actions(subject, oracle, report.seed)
    actions.create()
    actions.create()
    load = [Client(subject.gateway, oracle, lambda: actions.functions, report.seed + n) for n in range(clients)]
    for client in load:
        client.start()
    try:
        before = _act(subject, report, oracle, actions, end, followed)
    except Exception as error:  # noqa: BLE001  (whatever ends the run is a finding, with the log of how it came)
        oracle.fault(f"the run ended: {error!r}")
        before = {}
    finally:
        for client in load:
            client.stop()
    if before:
        _compare(subject, report, oracle, before)
    report.counts, report.faults, report.actions = oracle.counts, oracle.faults, actions.log
    report.kinds = actions.counts


def _act(
    subject: Subject, report: Report, oracle: Oracle, actions: Actions, end: float, followed: set[int]
) -> dict[str, tuple[int, tuple[int, int, int]]]:
    """Update in peace, then do anything; return what the processes held between the two."""
    rolling_end = time.monotonic() + (end - time.monotonic()) * _ROLLING_SHARE
    while time.monotonic() < rolling_end:
        actions.deploy_in_peace()
        report.deploys += 1
    report.rolling = dict(oracle.counts)
    if set(report.rolling) != {"200"}:
        oracle.fault(f"a rolling update lost requests: {report.rolling}")
    followed |= set(subject.processes().values())
    before = {name: (pid, held(pid)) for name, pid in subject.processes().items()}
    while time.monotonic() < end and len(oracle.faults) < _FAULTS_MAX:
        actions.one()
        followed |= set(subject.processes().values())
    subject.become_healthy()
    return before


def _compare(
    subject: Subject, report: Report, oracle: Oracle, before: dict[str, tuple[int, tuple[int, int, int]]]
) -> None:
    """Look at what the processes hold when nobody calls any more."""
    for name, pid in subject.processes().items():
        _, (descriptors, resident, _) = before[name]
        now = held(pid)
        quiet_by = time.monotonic() + _SETTLE_SECONDS
        while now[0] > descriptors + 8 and time.monotonic() < quiet_by:
            time.sleep(0.1)
            now = held(pid)
        report.memory[name] = (
            f"{resident // 1024} → {now[1] // 1024} MiB, {descriptors} → {now[0]} descriptors, "
            f"{now[2]} processes below"
        )
        if now[1] - resident > _GROWTH_MAX_KIB:
            oracle.fault(f"{name} grew by {(now[1] - resident) // 1024} MiB")


def _look_at_what_is_left(home: Path, report: Report, followed: set[int]) -> None:
    end = time.monotonic() + 5.0
    report.remains = remains(home, followed)
    while report.remains and time.monotonic() < end:
        time.sleep(0.1)
        report.remains = remains(home, followed)
