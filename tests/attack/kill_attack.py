"""Kills every process of a platform while clients write, and compares what was acknowledged with what is there."""

from __future__ import annotations

import http.client
import os
import random
import signal
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.attack.campaign import Attack, Findings
from tests.soak.platform import SoakPlatform, start
from tests.support.waiting import wait_until

__all__ = ["KILL_ATTACK"]

_WRITERS = 3
_LOST = (OSError, http.client.HTTPException)
"""The connection was refused or cut: whether the write took place is unknown."""


@dataclass
class _Ledger:
    """What a writer was told: the description of each resource, ``None`` once its deletion was acknowledged.

    Attributes:
        known: By id.
        in_doubt: Ids of resources whose last write has no answer.
    """

    known: dict[str, str | None] = field(default_factory=dict)
    in_doubt: set[str] = field(default_factory=set)


class _Writer(threading.Thread):
    """Creates, changes and deletes namespaces until it is stopped."""

    def __init__(self, platform: SoakPlatform, seed: str) -> None:
        super().__init__(daemon=True)
        self.ledger = _Ledger()
        self.failures: list[str] = []
        self._platform = platform
        self._random = random.Random(seed)  # noqa: S311  (to be repeated, not to be secret)
        self._seed = seed
        self._count = 0
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join(120)

    def run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._write()
            except _LOST:
                time.sleep(0.02)  # control may be down

    def _write(self) -> None:
        alive = [
            one for one, text in self.ledger.known.items() if text is not None and one not in self.ledger.in_doubt
        ]
        self._count += 1
        description = f"{self._seed} {self._count}"
        if len(alive) < 5 or self._random.random() < 0.3:
            body = {"name": f"n-{self._random.randrange(10**12)}", "project_id": self._platform.project_id}
            answer = self._platform.request("POST", "/namespaces", {**body, "description": description})
            if answer.status == 200:
                self.ledger.known[str(answer.document["id"])] = description
            return
        target = self._random.choice(alive)
        is_change = self._random.random() < 0.6
        self.ledger.in_doubt.add(target)
        if is_change:
            answer = self._platform.request("PATCH", f"/namespaces/{target}", {"description": description})
        else:
            answer = self._platform.request("DELETE", f"/namespaces/{target}")
        if answer.status == 200:
            self.ledger.known[target] = description if is_change else None
        elif answer.status >= 500:
            self.failures.append(f"{answer.status} {answer.document}")
        if answer.status < 500:
            self.ledger.in_doubt.discard(target)


def _attack(findings: Findings) -> None:
    with tempfile.TemporaryDirectory() as folder:
        platform = start(Path(folder, "home"), "--isolation", "none", "--quota", "none")
        try:
            writers = [_Writer(platform, f"{findings.random.random()}") for _ in range(_WRITERS)]
            for writer in writers:
                writer.start()
            for _ in findings.rounds():
                _kill_one(platform, findings)
            for writer in writers:
                writer.stop()
            platform.wait_until_healthy()
            for writer in writers:
                _compare(platform, writer, findings)
        finally:
            platform.stop()


def _kill_one(platform: SoakPlatform, findings: Findings) -> None:
    """Kill a process at a random moment, and wait until the platform is healthy again."""
    kind = findings.random.choice(("control", "control", "data plane", "supervisor"))
    time.sleep(findings.random.random() * 0.3)  # the moment at which it is hit
    pid = platform.pid if kind == "supervisor" else platform.processes()[kind]
    if not pid:
        return
    findings.outcomes[f"kills of {kind}"] += 1
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    if kind == "supervisor":
        platform.restart()
    else:
        wait_until(lambda: platform.processes()[kind] not in {pid, 0})
    platform.wait_until_healthy()


def _compare(platform: SoakPlatform, writer: _Writer, findings: Findings) -> None:
    findings.check(not writer.failures, f"writes failed: {writer.failures[:3]}")
    for record_id, description in writer.ledger.known.items():
        if record_id in writer.ledger.in_doubt:
            findings.outcomes["in doubt"] += 1
            continue
        wait_until(lambda one=record_id: _is_settled(platform, one))  # type: ignore[misc]  # deletions take a moment
        answer = platform.request("GET", f"/namespaces/{record_id}")
        found = answer.document.get("description") if answer.status == 200 else None
        findings.outcomes["writes checked"] += 1
        findings.check(found == description, f"{record_id}: {description!r} was acknowledged, {found!r} is there")


def _is_settled(platform: SoakPlatform, record_id: str) -> bool:
    return platform.request("GET", f"/namespaces/{record_id}").document.get("status") not in ("deleting", "pending")


KILL_ATTACK = Attack("kills while clients write", _attack, share=3)
