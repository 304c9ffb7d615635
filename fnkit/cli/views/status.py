"""View of ``fnkit status``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.text import Text

from fnkit.cli.errors import problem_to_json
from fnkit.cli.layout import (
    NAME_STYLE,
    URL_STYLE,
    Column,
    Row,
    joined,
    print_table,
    print_wrapped,
    safe_text,
    state_style,
)
from fnkit.cli.output import json_fields
from fnkit.cli.views.problem import print_problem
from fnkit.deploy.start_report import shortened_traceback
from fnkit.deploy.status import FunctionStatus, ProjectStatus

if TYPE_CHECKING:
    from rich.console import Console

_MISSING: Final = "missing"
_NOT_DEPLOYED: Final = "not deployed"
_FUNCTION_KEYS = (
    *("name", "status", "url", "domain", "runtime", "run_by", "digest", "drift", "error_message", "import_error"),
    "notes",
)


@dataclass(frozen=True, slots=True)
class StatusView:
    """The deployed functions, and their differences from the project.

    Args:
        inspection: What was found.
        root: The project's directory.
        verbose: Whether the text includes the host name of each function.
    """

    inspection: ProjectStatus
    root: Path
    verbose: bool = False

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
        """Print a row for each function, with its errors and with what a deploy would change below it."""
        if not self.inspection.functions:
            print_wrapped(console, f"This project is not deployed in {self.inspection.region}.")
        print_table(
            console,
            (Column("FUNCTION", NAME_STYLE), Column("STATUS"), Column("RUNTIME"), Column("URL", URL_STYLE)),
            [self._row(one) for one in self.inspection.functions],
        )
        for resource in self.inspection.foreign:
            print_wrapped(console, Text(f"not managed by fnkit: {resource}", "dim"), hanging=2)
        if self.inspection.drift_problem is not None:
            console.print()
            print_wrapped(console, Text("The project could not be compared:", "yellow"))
            print_problem(console, self.inspection.drift_problem, self.root)

    def _row(self, one: FunctionStatus) -> Row:
        status = safe_text(_NOT_DEPLOYED if one.status == _MISSING else one.status, _status_style(one))
        domain = [safe_text(one.domain, URL_STYLE)] if self.verbose and one.domain not in one.url else []
        return Row((one.name, status, one.runtime, one.url), (*domain, *_details(one)))


def _details(one: FunctionStatus) -> Iterator[Text]:
    if one.run_by:
        yield safe_text(f"{one.runtime}, run by {one.run_by} here", "cyan")
    for note in one.notes:
        yield safe_text(note, "cyan")
    if one.error_message:
        yield safe_text(one.error_message, "red")
    if one.import_error is not None:
        yield Text("its handler cannot be imported:", "red")
        yield from (safe_text(line, "red") for line in shortened_traceback(one.import_error).splitlines())
    for reason in () if one.status == _MISSING else one.drift or ():
        yield joined(Text("differs: ", "yellow"), reason)


def _status_style(function: FunctionStatus) -> str:
    """Return green only for what is known to be as it should be."""
    if function.has_error:
        return "red"
    return "yellow" if function.drift is None else state_style(function.status)
