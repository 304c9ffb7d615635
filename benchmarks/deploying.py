"""Compares deploying ten functions, new and unchanged, with starting ten ``python -m http.server``."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.http_server import time_to_first_response
from benchmarks.local_platform import local_platform
from benchmarks.measurement import Comparison, elapsed_seconds, measure_alternately

__all__ = ["run"]

FUNCTIONS = 10


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure the whole command. A deploy is complete once an instance of every function has started."""
    project = folder / "project"
    _write_project(project)
    with local_platform(folder / "platform") as platform:

        def first() -> float:
            shutil.rmtree(project / ".fnkit", ignore_errors=True)
            duration = elapsed_seconds(lambda: platform.fnkit("deploy", "--local", "--yes", folder=project))
            platform.fnkit("destroy", "--local", "--yes", folder=project)
            return duration

        def unchanged() -> float:
            return elapsed_seconds(lambda: platform.fnkit("deploy", "--local", "--yes", folder=project))

        def servers() -> float:
            return sum(time_to_first_response() for _ in range(FUNCTIONS))

        reference = f"starting {FUNCTIONS} python -m http.server"
        first_deploy = measure_alternately(rounds, first, servers)
        platform.fnkit("deploy", "--local", "--yes", folder=project)
        second_deploy = measure_alternately(rounds, unchanged, servers)
    return [
        Comparison(f"first deploy of {FUNCTIONS} functions", reference, *first_deploy),
        Comparison(f"deploy of {FUNCTIONS} functions, nothing changed", reference, *second_deploy),
    ]


def _write_project(project: Path) -> None:
    project.mkdir()
    (project / "fnkit.toml").write_text('name = "ten"\n', encoding="utf-8")
    for number in range(FUNCTIONS):
        (project / f"answer_{number}.py").write_text(
            "from fnkit import function\n\n\n@function(memory=128)\n"
            f'def answer_{number}(event, context):\n    return "{number}"\n',
            encoding="utf-8",
        )
