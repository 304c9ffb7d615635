"""Compares ``fnkit --version`` with ``python -c pass``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.local_platform import FNKIT
from benchmarks.measurement import Comparison, elapsed_seconds, measure_alternately

__all__ = ["run"]

CALLS = 5
"""Calls per round: a single one is too short to distinguish from noise."""


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure whole processes."""
    del folder

    def version() -> float:
        return elapsed_seconds(lambda: _call([FNKIT, "--version"])) / CALLS

    def nothing() -> float:
        return elapsed_seconds(lambda: _call([sys.executable, "-c", "pass"])) / CALLS

    _call([FNKIT, "--version"])
    return [Comparison("fnkit --version", "python -c pass", *measure_alternately(rounds, version, nothing))]


def _call(command: list[str]) -> None:
    for _ in range(CALLS):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
