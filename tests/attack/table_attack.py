"""Runs the tests that are tables of attacks: hostile handlers and clients, escapes from the sandbox, full disks."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from functools import partial

from tests.attack.campaign import Attack, Findings

__all__ = ["TABLE_ATTACKS"]

_COUNT = re.compile(r"(\d+) (passed|failed|skipped|error)")
_TABLES = {
    "hostile handlers": ("test_hostile_handlers.py", "test_response_isolation.py"),
    "escapes from the sandbox": ("test_isolation.py", "test_limits.py"),
    "hostile and slow clients": (
        "test_hostile_clients.py",
        "test_stalled_clients.py",
        "platform/test_slow_clients.py",
    ),
    "full disks": ("platform/test_full_disk.py",),
}


def _attack(files: Sequence[str], findings: Findings) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not clients", "-p", "no:cacheprovider"]
    command += [f"tests/integration/{file}" for file in files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    for number, outcome in _COUNT.findall(done.stdout.splitlines()[-1] if done.stdout else ""):
        findings.outcomes[outcome] += int(number)
    findings.check(done.returncode == 0, done.stdout[-2000:])


TABLE_ATTACKS = tuple(Attack(name, partial(_attack, files), share=0) for name, files in _TABLES.items())
"""They take the time that they take."""
