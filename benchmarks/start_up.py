"""``fnkit --version`` against ``python -c pass``: what a script pays for asking."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.local_platform import FNKIT
from benchmarks.measuring import Comparison, in_turns, seconds

__all__ = ["run"]

CALLS = 5
"""Calls a round: one alone is too short to be told from noise."""


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Time whole processes."""
    del folder

    def version() -> float:
        return seconds(lambda: _call([FNKIT, "--version"])) / CALLS

    def nothing() -> float:
        return seconds(lambda: _call([sys.executable, "-c", "pass"])) / CALLS

    _call([FNKIT, "--version"])
    return [Comparison("fnkit --version", "python -c pass", *in_turns(rounds, version, nothing))]


def _call(command: list[str]) -> None:
    for _ in range(CALLS):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
