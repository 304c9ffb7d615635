"""Views of ``fnkit dev``: what was deployed, responses, output of functions, tracebacks and notes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from fnkit.cli.errors import problem_location, problem_to_json
from fnkit.cli.output import json_fields
from fnkit.cli.views.logs import LogLineView, name_colour
from fnkit.dev.debugging.launch_file import HOST, LAUNCH_FILE
from fnkit.dev.model import Rejected, Reloaded, ServedFunction
from fnkit.dev.tracebacks import Traceback, TracebackFrame
from fnkit.errors import FnkitError, Problem

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.client.loki import LogLine
    from fnkit.contract.platform import ResponseLine

_NANOSECONDS: Final = 10**9
_FIRST_SERVER_ERROR: Final = 500
_FIRST_CLIENT_ERROR: Final = 400
_MILLISECONDS_PER_SECOND: Final = 1000
_FIRST_WHOLE_MILLISECONDS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingView:
    """The functions that answer, with their addresses."""

    project: str
    gateway_url: str
    functions: tuple[ServedFunction, ...]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """Return ``kind, project, url, functions[{name, url, path_url, private, crons, triggers}], seconds``."""
        return {
            "kind": "serving",
            "project": self.project,
            "url": self.gateway_url,
            "functions": [_function_to_json(one) for one in self.functions],
            "seconds": round(self.seconds, 3),
        }

    def render(self, console: Console) -> None:
        """Print a heading, then each function with its URL, its crons and its triggers."""
        from rich.text import Text

        heading = Text.assemble((self.project, "bold"), f" is served at {self.gateway_url}")
        heading.append(f", ready in {_format_seconds(self.seconds)}", style="dim")
        console.print(heading)
        width = max((len(one.name) for one in self.functions), default=0)
        for one in self.functions:
            line = Text.assemble("  ", (f"{one.name:<{width}}", name_colour(one.name)), f"  {one.url}")
            if one.is_private:
                line.append("  private", style="yellow")
            console.print(line, soft_wrap=True)
            for name, _ in one.crons:
                console.print(Text(f"  {'':<{width}}  cron {name}", style="dim"))
            for name, _, address in one.triggers:
                console.print(Text(f"  {'':<{width}}  trigger {name} on {address}", style="dim"))
        if not self.functions:
            console.print("  No handler was found. Mark one with @function.")


def _function_to_json(one: ServedFunction) -> dict[str, object]:
    return {
        **json_fields(one, "name", "url", "path_url"),
        "private": one.is_private,
        "crons": [name for name, _ in one.crons],
        "triggers": [name for name, _, _ in one.triggers],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadView:
    """What became of a change."""

    outcome: Reloaded

    def to_json(self) -> dict[str, object]:
        """Return ``kind, functions[{name, action, error}], seconds, failures, notes``."""
        return {
            "kind": "reloaded",
            "functions": [
                {
                    **json_fields(one, "name", "action"),
                    **({"error": problem_to_json(one.failure)} if one.failure else {}),
                }
                for one in self.outcome.changes
            ],
            "seconds": round(self.outcome.seconds, 4),
            "failures": [problem_to_json(one) for one in self.outcome.failures],
            "notes": list(self.outcome.notes),
        }

    def render(self, console: Console) -> None:
        """Print which functions changed, in one line, then the failures."""
        from rich.text import Text

        done = [one for one in self.outcome.changes if one.failure is None]
        actions = dict.fromkeys(one.action for one in done)
        for action in actions:
            names = ", ".join(one.name for one in done if one.action == action)
            line = Text.assemble((_now(), "dim"), "  ", (f"{action} {names}", "green"))
            console.print(line.append(f" in {_format_seconds(self.outcome.seconds)}", style="dim"))
        if not self.outcome.changes and not self.outcome.failures:
            console.print(Text.assemble((_now(), "dim"), "  ", ("the problems are solved", "green")))
        for note in self.outcome.notes:
            console.print(f"note: {note}", style="cyan")
        failures: list[FnkitError] = [one.failure for one in self.outcome.changes if one.failure is not None]
        for failure in (*failures, *self.outcome.failures):
            _print_problem(console, failure.as_problem())


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedView:
    """Why a change was not deployed, or the project."""

    outcome: Rejected
    is_first: bool = False

    def to_json(self) -> dict[str, object]:
        """Return ``kind, problems[…]``."""
        return {"kind": "rejected", "problems": [problem_to_json(one) for one in self.outcome.problems]}

    def render(self, console: Console) -> None:
        """Print each problem with its place, and that the earlier version serves."""
        for problem in self.outcome.problems:
            _print_problem(console, problem)
        if self.is_first:
            console.print("The project is deployed as soon as this is corrected.", style="dim")
        else:
            console.print("The last version that worked is still served.", style="dim")


def _print_problem(console: Console, problem: Problem) -> None:
    from rich.text import Text

    console.print(Text.assemble(problem_location(problem), ("error:", "bold red"), f" {problem.message}"))
    if problem.hint:
        console.print(Text.assemble("  ", ("hint:", "bold cyan"), f" {problem.hint}"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseView:
    """One response of a function.

    Args:
        line: The line of the log.
        response: What it says.
        name_width: Length of the longest name of the functions.
    """

    line: LogLine
    response: ResponseLine
    name_width: int

    def to_json(self) -> dict[str, object]:
        """Return the response, with its function, request and instance."""
        return {
            "kind": "response",
            "time": self.line.time,
            **json_fields(self.line, "function", "request_id", "instance"),
            **json_fields(self.response, "method", "path", "status", "duration_ms", "start_ms"),
            "cold": self.response.start_ms > 0,
        }

    def render(self, console: Console) -> None:
        """Print time, function, status, duration, cold or warm, method and path."""
        from rich.text import Text

        from fnkit.contract.text import escape_control_characters

        one = self.response
        start = f"cold, started in {_format_milliseconds(one.start_ms)}" if one.start_ms > 0 else "warm"
        request = f"{one.method} {one.path}" if one.method else "event"
        text = Text.assemble(
            (_clock_time(datetime.fromtimestamp(self.line.time / _NANOSECONDS, UTC)), "dim"),
            "  ",
            (f"{self.line.function:<{self.name_width}}", name_colour(self.line.function)),
            "  ",
            (str(one.status), _status_style(one.status)),
            f"  {_format_milliseconds(one.duration_ms):>8}  {escape_control_characters(request)}  ",
            (start, "yellow" if one.start_ms > 0 else "dim"),
        )
        console.print(text, soft_wrap=True)


def _status_style(status: int) -> str:
    if status >= _FIRST_SERVER_ERROR:
        return "bold red"
    return "yellow" if status >= _FIRST_CLIENT_ERROR else "green"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLineView:
    """A line that a function wrote."""

    view: LogLineView

    def to_json(self) -> dict[str, object]:
        """Return ``kind`` and the keys of a line of ``fnkit logs``."""
        return {"kind": "log", **self.view.to_json()}

    def render(self, console: Console) -> None:
        """Print it as ``fnkit logs`` does."""
        self.view.render(console)


@dataclass(frozen=True, slots=True, kw_only=True)
class TracebackView:
    """A traceback of a function: the error, then the frames in the project's own code, the innermost first.

    Args:
        function: The function.
        traceback: The traceback.
        lines: The lines as they were written.
    """

    function: str
    traceback: Traceback
    lines: Sequence[str] = field(repr=False)

    def to_json(self) -> dict[str, object]:
        """Return ``kind, function, error, frames[{file, line, name, source}], other_frames, lines``."""
        return {
            "kind": "traceback",
            "function": self.function,
            "error": "\n".join(self.traceback.error),
            "frames": [json_fields(one, "file", "line", "name", "source") for one in self.traceback.own_frames],
            "other_frames": self.traceback.other_frames,
            "lines": list(self.lines),
        }

    def render(self, console: Console) -> None:
        """Print the error and the own frames; the number of others is enough."""
        from rich.text import Text

        from fnkit.contract.text import escape_control_characters

        for index, line in enumerate(self.traceback.error):
            shown = escape_control_characters(line)
            head = Text.assemble((self.function, name_colour(self.function)), "  ") if index == 0 else Text("  ")
            console.print(head.append(shown, style="bold red"), soft_wrap=True)
        for frame in self.traceback.own_frames:
            _print_frame(console, frame)
        if others := self.traceback.other_frames:
            plural = "frame" if others == 1 else "frames"
            console.print(f"    and {others} {plural} in other code", style="dim")


def _print_frame(console: Console, frame: TracebackFrame) -> None:
    from rich.text import Text

    from fnkit.contract.text import escape_control_characters

    place, name, source = (
        escape_control_characters(one) for one in (f"{frame.file}:{frame.line}", frame.name, frame.source)
    )
    console.print(Text.assemble("    ", (place, "cyan"), (f"  {name}", "dim"), f"  {source}"), soft_wrap=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class DebuggingView:
    """How to attach a debugger to a function.

    Args:
        function: The function.
        port: The port to attach to.
        configuration: The configuration of an editor.
        is_saved: Whether the project's launch file has it.
    """

    function: str
    port: int
    configuration: Mapping[str, object]
    is_saved: bool

    def to_json(self) -> dict[str, object]:
        """Return ``kind, function, host, port, launch_file, configuration``."""
        return {
            "kind": "debugging",
            "function": self.function,
            "host": HOST,
            "port": self.port,
            "launch_file": LAUNCH_FILE if self.is_saved else None,
            "configuration": dict(self.configuration),
        }

    def render(self, console: Console) -> None:
        """Print where to attach, and the configuration if it could not be added to the launch file."""
        from rich.text import Text

        address = f"{HOST}:{self.port}"
        line = Text.assemble("A debugger can attach to ", (self.function, "bold"), " at ", (address, "bold"))
        if self.is_saved:
            line.append(f', in VS Code with "{self.configuration["name"]}" of {LAUNCH_FILE}')
        console.print(line.append("."))
        if not self.is_saved:
            console.print(f"{LAUNCH_FILE} could not be changed. Add this to its configurations:")
            console.print(json.dumps(self.configuration, indent=4), soft_wrap=True)
        console.print("Until the end, it has one instance and no timeout.", style="dim")


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteView:
    """A sentence."""

    text: str
    style: str = "dim"

    def to_json(self) -> dict[str, object]:
        """Return ``kind, text``."""
        return {"kind": "note", "text": self.text}

    def render(self, console: Console) -> None:
        """Print it."""
        console.print(self.text, style=self.style)


def _now() -> str:
    return _clock_time(datetime.now(UTC))


def _clock_time(moment: datetime) -> str:
    return f"{moment.astimezone():%H:%M:%S}"


def _format_milliseconds(value: float) -> str:
    """Return a duration with three digits at most.

    >>> _format_milliseconds(1.234), _format_milliseconds(1234.5)
    ('1.2 ms', '1.2 s')
    """
    if value >= _MILLISECONDS_PER_SECOND:
        return f"{value / _MILLISECONDS_PER_SECOND:.1f} s"
    return f"{value:.0f} ms" if value >= _FIRST_WHOLE_MILLISECONDS else f"{value:.1f} ms"


def _format_seconds(seconds: float) -> str:
    return _format_milliseconds(seconds * _MILLISECONDS_PER_SECOND)
