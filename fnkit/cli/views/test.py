"""The result of ``fnkit test``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.environments.project_tests import ProjectTestRun


@dataclass(frozen=True, slots=True)
class TestRunsView:
    """The exit code of each test runner, whose own output came before.

    Attributes:
        runs: Each run with its exit code.
        root: The project's directory.
    """

    __test__ = False

    runs: tuple[tuple[ProjectTestRun, int], ...]
    root: Path

    def to_json(self) -> dict[str, object]:
        """Return ``runs[{language, directory, exit_code}]``."""
        return {
            "runs": [
                {
                    "language": run.language,
                    "directory": run.directory.relative_to(self.root).as_posix(),
                    "exit_code": code,
                }
                for run, code in self.runs
            ]
        }

    def render(self, console: Console) -> None:
        """Write which tests failed, if there was more than one runner."""
        if len(self.runs) > 1:
            for run, code in self.runs:
                console.print(f"{run.language}: {'passed' if code == 0 else f'failed (exit {code})'}")
