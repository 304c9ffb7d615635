"""The result of ``fnkit test``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.cli.layout import NAME_STYLE, Column, Row, print_table, safe_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

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
        """Print which tests failed, if there was more than one runner."""
        if len(self.runs) > 1:
            rows = [Row((run.language, _result(code))) for run, code in self.runs]
            print_table(console, (Column("TESTS", NAME_STYLE), Column("RESULT")), rows)


def _result(exit_code: int) -> Text:
    return safe_text(f"failed (exit {exit_code})", "red") if exit_code else safe_text("passed", "green")
