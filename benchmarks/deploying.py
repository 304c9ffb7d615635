"""Deploying ten functions, first and unchanged, against starting ten ``python -m http.server`` that answer."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.http_server import answered_after
from benchmarks.local_platform import local_platform
from benchmarks.measuring import Comparison, in_turns, seconds

__all__ = ["run"]

FUNCTIONS = 10


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Time the whole command. A function counts as deployed once an instance of it has started."""
    project = folder / "project"
    _write(project)
    with local_platform(folder / "platform") as platform:

        def first() -> float:
            shutil.rmtree(project / ".fnkit", ignore_errors=True)
            taken = seconds(lambda: platform.fnkit("deploy", "--local", "--yes", folder=project))
            platform.fnkit("destroy", "--local", "--yes", folder=project)
            return taken

        def unchanged() -> float:
            return seconds(lambda: platform.fnkit("deploy", "--local", "--yes", folder=project))

        def servers() -> float:
            return sum(answered_after() for _ in range(FUNCTIONS))

        reference = f"starting {FUNCTIONS} python -m http.server"
        deployed = in_turns(rounds, first, servers)
        platform.fnkit("deploy", "--local", "--yes", folder=project)
        again = in_turns(rounds, unchanged, servers)
    return [
        Comparison(f"first deploy of {FUNCTIONS} functions", reference, *deployed),
        Comparison(f"deploy of {FUNCTIONS} functions, nothing changed", reference, *again),
    ]


def _write(project: Path) -> None:
    project.mkdir()
    (project / "fnkit.toml").write_text('name = "ten"\n', encoding="utf-8")
    for number in range(FUNCTIONS):
        (project / f"answer_{number}.py").write_text(
            "from fnkit import function\n\n\n@function(memory=128)\n"
            f'def answer_{number}(event, context):\n    return "{number}"\n',
            encoding="utf-8",
        )
