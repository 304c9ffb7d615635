"""View of ``fnkit status``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.errors import problem_location, problem_to_json
from fnkit.cli.output import json_fields
from fnkit.deploy.start_report import shortened_traceback
from fnkit.deploy.status import FunctionStatus, ProjectStatus

if TYPE_CHECKING:
    from rich.console import Console

_STATUS_STYLES = {"ready": "green", "error": "red", "missing": "yellow", "pending": "yellow", "created": "yellow"}
_FUNCTION_KEYS = (
    *("name", "status", "url", "domain", "runtime", "run_by", "digest", "drift", "error_message", "import_error"),
    "notes",
)


@dataclass(frozen=True, slots=True)
class StatusView:
    """The deployed functions, and their differences from the project."""

    inspection: ProjectStatus

    def to_json(self) -> dict[str, object]:
        """Return ``namespace, region, functions[…], foreign``, and ``obstacle`` if the comparison failed."""
        document: dict[str, object] = {
            "namespace": self.inspection.namespace,
            "region": self.inspection.region,
            "functions": [json_fields(one, *_FUNCTION_KEYS) for one in self.inspection.functions],
            "foreign": list(self.inspection.foreign),
        }
        if self.inspection.drift_problem is not None:
            document["obstacle"] = problem_to_json(self.inspection.drift_problem)
        return document

    def render(self, console: Console) -> None:
        """Print a line for each function, followed by the changes that a deploy would make."""
        if not self.inspection.functions:
            console.print(f"This project is not deployed in {self.inspection.region}.")
        width = max((len(one.name) for one in self.inspection.functions), default=0)
        for one in self.inspection.functions:
            _render_function(console, one, width)
        for resource in self.inspection.foreign:
            console.print(f"not managed by fnkit: {resource}", style="dim")
        if self.inspection.drift_problem is not None:
            problem = self.inspection.drift_problem
            place = problem_location(problem)
            console.print(f"The project could not be compared: {place}{problem.message}", style="red")
            if problem.hint:
                console.print(f"  hint: {problem.hint}", style="cyan")


def _render_function(console: Console, one: FunctionStatus, width: int) -> None:
    line = f"{one.name:<{width}}  {one.status:<8}  {one.runtime:<10}  {one.url}".rstrip()
    console.print(line, style=_line_style(one))
    if one.run_by:
        console.print(f"  {one.runtime}, run by {one.run_by} here", style="cyan")
    for note in one.notes:
        console.print(f"  {note}", style="cyan")
    if one.error_message:
        console.print(f"  {one.error_message}", style="red")
    if one.import_error is not None:
        console.print("  its handler cannot be imported:", style="red")
        console.print(shortened_traceback(one.import_error), style="red")
    for reason in one.drift or ():
        console.print(f"  differs: {reason}", style="yellow")


def _line_style(function: FunctionStatus) -> str:
    """Return green only for what is known to be as it should be."""
    if function.has_error:
        return "red"
    return "yellow" if function.drift is None else _STATUS_STYLES.get(function.status, "")
