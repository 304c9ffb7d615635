"""What a project declares: its functions with all their settings, and its problems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration, TriggerDeclaration
from fnkit.cli.failures import problem_to_json
from fnkit.errors import Problem

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.project import FunctionSpec
    from fnkit.scanner import ScannedFunction

__all__ = ["ScanView", "described", "sketched"]

_NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class ScanView:
    """functions: one JSON object each, from ``described`` or ``sketched``. problems: all of them."""

    root: Path
    functions: tuple[Mapping[str, object], ...]
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, object]:
        """``functions[…], problems[{code,message,hint,file,line}]``."""
        return {
            "functions": [dict(function) for function in self.functions],
            "problems": [problem_to_json(problem) for problem in self.problems],
        }

    def render(self, console: Console) -> None:
        """A table of functions, their crons and triggers under them, then the problems."""
        from rich.table import Table

        if self.functions:
            table = Table(box=None, pad_edge=False, header_style="bold")
            for heading in ("FUNCTION", "RUNTIME", "HANDLER", "DECLARED IN", "FIRES"):
                table.add_column(heading)
            for function in self.functions:
                table.add_row(*_cells(function))
            console.print(table)
        for problem in self.problems:
            _render_problem(console, problem)
        count = len(self.functions)
        text = f"{count} function{'s' if count != 1 else ''}"
        if self.problems:
            text += f", {len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        console.print(f"{text} in {self.root}")


def described(spec: FunctionSpec) -> dict[str, object]:
    """A checked function: every setting as it would be deployed. ``timeout`` is in seconds."""
    return {
        "name": spec.name,
        "handler": spec.handler,
        "runtime": spec.runtime,
        "source": {"file": spec.source.file, "line": spec.source.line},
        "memory": spec.memory,
        "min_scale": spec.min_scale,
        "max_scale": spec.max_scale,
        "timeout": spec.timeout / _NANOSECONDS,
        "privacy": spec.privacy,
        "http_option": spec.http_option,
        "sandbox": spec.sandbox,
        "description": spec.description,
        "env": dict(spec.env),
        "secrets": list(spec.secrets),
        "tags": list(spec.tags),
        "domains": list(spec.domains),
        "private_network_id": spec.private_network_id,
        "crons": [{"name": cron.name, "schedule": cron.schedule, "args": dict(cron.args)} for cron in spec.crons],
        "triggers": [
            {"name": trigger.name, trigger.kind: trigger.address, "description": trigger.description}
            for trigger in spec.triggers
        ],
    }


def sketched(function: ScannedFunction) -> dict[str, object]:
    """A function of an invalid project: what its decorators say, unchecked; ``null`` where they do not."""
    declarations = [mark.declaration for mark in function.marks]
    own = next((found for found in declarations if isinstance(found, FunctionDeclaration)), FunctionDeclaration())
    crons = [found for found in declarations if isinstance(found, CronDeclaration)]
    triggers = [found for found in declarations if isinstance(found, TriggerDeclaration)]
    return {
        "name": own.name or function.python_name.replace("_", "-"),
        "handler": function.handler,
        "runtime": own.runtime,
        "source": {"file": function.file, "line": function.line},
        "crons": [{"name": cron.name, "schedule": cron.schedule} for cron in crons],
        "triggers": [
            {"name": found.name, "nats" if found.nats is not None else "sqs": found.nats or found.sqs}
            for found in triggers
        ],
    }


def _cells(function: Mapping[str, object]) -> tuple[str, str, str, str, str]:
    match function:
        case {
            "name": name,
            "handler": handler,
            "runtime": runtime,
            "source": {"file": file, "line": line},
            "crons": [*crons],
            "triggers": [*triggers],
        }:
            fires = [f"cron {cron['schedule']}" for cron in crons]
            for trigger in triggers:
                kind = "nats" if "nats" in trigger else "sqs"
                fires.append(f"{kind} {trigger[kind]}")
            return str(name), str(runtime or ""), str(handler), f"{file}:{line}", ", ".join(fires)
        case _:
            raise AssertionError(f"not one of ours: {function}")


def _render_problem(console: Console, problem: Problem) -> None:
    from rich.text import Text

    place = ""
    if problem.file is not None:
        place = f"{problem.file}:{problem.line}: " if problem.line is not None else f"{problem.file}: "
    console.print(Text.assemble(place, ("problem: ", "bold red"), problem.message))
    if problem.hint:
        console.print(Text.assemble(("  hint: ", "bold cyan"), problem.hint))
