"""Views of ``fnkit dev``: what was deployed, responses, output of functions, tracebacks and notes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len
from rich.text import Text

from fnkit.cli.errors import problem_to_json
from fnkit.cli.layout import print_note, print_text, print_wrapped, safe_text
from fnkit.cli.output import json_fields
from fnkit.cli.views.logs import LogLineView, name_colour
from fnkit.cli.views.problem import problem_text
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
_PRIVATE: Final = "  private"
_GAP: Final = 2
_MIN_REQUEST: Final = 6  # columns of a method and path


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
        heading = Text.assemble((self.project, "bold"), f" is served at {self.gateway_url}")
        heading.append(f", ready in {_format_seconds(self.seconds)}", style="dim")
        print_wrapped(console, heading, hanging=2)
        names = max((len(one.name) for one in self.functions), default=0)
        fits = all(names + len(one.url) + len(_PRIVATE) + _GAP <= console.width for one in self.functions)
        for one in self.functions:
            name = Text(f"{one.name:<{names}}", name_colour(one.name))
            url = Text.assemble(one.url, (_PRIVATE if one.is_private else "", "yellow"))
            indent = names + _GAP if fits else _GAP
            if fits:
                print_text(console, Text("  ") + name + Text("  ") + url)
            else:  # an address is never broken
                print_text(console, Text("  ") + name)
                print_wrapped(console, url, indent=2 * _GAP)
            for cron, _ in one.crons:
                print_wrapped(console, Text(f"cron {cron}", "dim"), indent=indent + _GAP, hanging=2)
            for trigger, _, address in one.triggers:
                text = Text(f"trigger {trigger} on {address}", "dim")
                print_wrapped(console, text, indent=indent + _GAP, hanging=2)
        if not self.functions:
            print_wrapped(console, "No handler was found. Mark one with @function.", indent=2, hanging=0)


def _function_to_json(one: ServedFunction) -> dict[str, object]:
    return {
        **json_fields(one, "name", "url", "path_url"),
        "private": one.is_private,
        "crons": [name for name, _ in one.crons],
        "triggers": [name for name, _, _ in one.triggers],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadView:
    """What became of a change.

    Args:
        outcome: What became of it.
        root: The project's directory, to show the lines of problems; ``None`` shows none.
    """

    outcome: Reloaded
    root: Path | None = None

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
        done = [one for one in self.outcome.changes if one.failure is None]
        actions = dict.fromkeys(one.action for one in done)
        for action in actions:
            names = ", ".join(one.name for one in done if one.action == action)
            done_in = Text(f" in {_format_seconds(self.outcome.seconds)}", "dim")
            print_wrapped(console, Text(f"{action} {names}", "green") + done_in, label=Text(f"{_now()} ", "dim"))
        if not self.outcome.changes and not self.outcome.failures:
            print_wrapped(console, Text("the problems are solved", "green"), label=Text(f"{_now()} ", "dim"))
        for note in self.outcome.notes:
            print_note(console, note)
        failures: list[FnkitError] = [one.failure for one in self.outcome.changes if one.failure is not None]
        for failure in (*failures, *self.outcome.failures):
            _print_problem(console, failure.as_problem(), self.root)


@dataclass(frozen=True, slots=True, kw_only=True)
class RejectedView:
    """Why a change was not deployed, or the project.

    Args:
        outcome: The problems.
        is_first: Whether nothing is served yet.
        root: The project's directory, to show the lines of problems; ``None`` shows none.
    """

    outcome: Rejected
    is_first: bool = False
    root: Path | None = None

    def to_json(self) -> dict[str, object]:
        """Return ``kind, problems[…]``."""
        return {"kind": "rejected", "problems": [problem_to_json(one) for one in self.outcome.problems]}

    def render(self, console: Console) -> None:
        """Print each problem with its place, and that the earlier version serves."""
        for problem in self.outcome.problems:
            _print_problem(console, problem, self.root)
        if self.is_first:
            print_wrapped(console, Text("The project is deployed as soon as this is corrected.", "dim"))
        else:
            print_wrapped(console, Text("The last version that worked is still served.", "dim"))


def _print_problem(console: Console, problem: Problem, root: Path | None) -> None:
    print_text(console, problem_text(problem, root, width=console.width).rich())


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
        from fnkit.contract.text import escape_control_characters

        one = self.response
        request = escape_control_characters(f"{one.method} {one.path}" if one.method else "event")
        text = Text.assemble(
            (_clock_time(datetime.fromtimestamp(self.line.time / _NANOSECONDS, UTC)), "dim"),
            "  ",
            (f"{self.line.function:<{self.name_width}}", name_colour(self.line.function)),
            "  ",
            (str(one.status), _status_style(one.status)),
            f"  {_format_milliseconds(one.duration_ms):>8}  ",
        )
        start = f"  cold, started in {_format_milliseconds(one.start_ms)}" if one.start_ms > 0 else "  warm"
        room = console.width - text.cell_len
        if cell_len(request) + len(start) > room:  # a request is one line, if that is possible
            start = "  cold" if one.start_ms > 0 and room >= _MIN_REQUEST + len("  cold") else ""
            request = _shortened(request, max(room - len(start), _MIN_REQUEST))
        text.append(request).append(start, style="yellow" if one.start_ms > 0 else "dim")
        print_text(console, text)


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
        from fnkit.contract.text import escape_control_characters

        for index, line in enumerate(self.traceback.error):
            shown = escape_control_characters(line)
            label = Text(f"{self.function} ", name_colour(self.function)) if index == 0 else Text(" ")
            print_wrapped(console, Text(shown, "bold red"), label=label, hanging=4)
        for frame in self.traceback.own_frames:
            _print_frame(console, frame)
        if others := self.traceback.other_frames:
            plural = "frame" if others == 1 else "frames"
            print_wrapped(console, Text(f"and {others} {plural} in other code", "dim"), indent=4, hanging=2)


def _print_frame(console: Console, frame: TracebackFrame) -> None:
    from fnkit.contract.text import escape_control_characters

    place, name, source = (
        escape_control_characters(one) for one in (f"{frame.file}:{frame.line}", frame.name, frame.source)
    )
    text = Text.assemble((place, "cyan"), (f"  {name}", "dim"), f"  {source}")
    print_wrapped(console, text, indent=4, hanging=2)


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
        address = f"{HOST}:{self.port}"
        line = Text.assemble("A debugger can attach to ", (self.function, "bold"), " at ", (address, "bold"))
        if self.is_saved:
            line.append(f', in VS Code with "{self.configuration["name"]}" of {LAUNCH_FILE}')
        print_wrapped(console, line.append("."), hanging=2)
        if not self.is_saved:
            text = f"{LAUNCH_FILE} could not be changed. Add this to its configurations:"
            print_wrapped(console, text, hanging=2)
            console.print(json.dumps(self.configuration, indent=4), soft_wrap=True)
        print_wrapped(console, Text("Until the end, it has one instance and no timeout.", "dim"), hanging=2)


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
        print_wrapped(console, safe_text(self.text, self.style), hanging=2)


def _shortened(text: str, width: int) -> str:
    """Return a text that takes at most this many columns.

    >>> _shortened("GET /orders", 8)
    'GET /or…'
    """
    if cell_len(text) <= width:
        return text
    while text and cell_len(text) >= width:
        text = text[:-1]
    return f"{text}…"


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
