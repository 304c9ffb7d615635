"""The progress of a deploy: a line that stays for each resource that was changed, and what is in progress.

In a terminal, the functions in progress are shown below the lines that stay, each with its step. Elsewhere, only
the lines that stay are printed, as soon as they are known, so that the log of a CI job is never silent for long.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from rich.text import Text

from fnkit.cli.layout import NAME_STYLE, print_text, state_cell
from fnkit.cli.output import Output, make_console
from fnkit.cli.progress import hidden, transient_progress
from fnkit.contract.text import escape_control_characters
from fnkit.deploy.events import ApplyStarted, ResourceFinished, ResourceStep, WaitingForLock

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from fnkit.deploy.events import DeployEvent, EventCallback

_STATE_WIDTH: Final = 8  # of the longest state, ``replaced``


def _title(kind: str, name: str) -> str:
    safe = escape_control_characters(name)
    return f"{kind} {safe}" if kind == "namespace" else safe


@dataclass(frozen=True, slots=True)
class DeployProgress:
    """The progress display of a deploy.

    Args:
        report: Callback for the events of the deploy library, from any thread.
        paused: Context manager that hides the display, for use around a prompt.
    """

    report: EventCallback
    paused: Callable[[], AbstractContextManager[None]]


@contextmanager
def deploy_progress(output: Output, title: str, *, lines_stay: bool = True) -> Iterator[DeployProgress]:
    """Show the events of a deploy while the block runs, on stderr; nothing with ``--json`` or ``--quiet``.

    Args:
        output: The output of the command.
        title: What the work is.
        lines_stay: Whether a line for each changed resource stays on the screen.
    """
    if output.as_json or output.verbosity < 0:
        yield DeployProgress(lambda _event: None, nullcontext)
        return
    console = make_console(stderr=True, colour=output.colour)
    if not sys.stderr.isatty():
        lines = _Lines(output, lambda text: print_text(console, text), lines_stay=lines_stay)
        yield DeployProgress(lines.report, nullcontext)
        return
    with transient_progress(console) as progress:
        rows = _Rows(progress, title)
        lines = _Lines(output, lambda text: print_text(progress.console, text), lines_stay=lines_stay, rows=rows)
        yield DeployProgress(lines.report, lambda: hidden(progress))
    if lines.have_stayed:
        print_text(console, Text())


class _Rows:
    """The rows of a terminal's display: the total, and one for each resource in progress."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._total = progress.add_task("", total=None, title=title)
        self._tasks: dict[tuple[str, str], TaskID] = {}

    def show_total(self, text: str) -> None:
        self._progress.update(self._total, description=text)

    def show_step(self, event: ResourceStep) -> None:
        text, key = escape_control_characters(event.text), (event.kind, event.name)
        if key in self._tasks:
            self._progress.update(self._tasks[key], description=text)
        else:
            title = _title(event.kind, event.name)
            self._tasks[key] = self._progress.add_task(text, total=None, title=f"  {title}")

    def remove(self, kind: str, name: str) -> None:
        task = self._tasks.pop((kind, name), None)
        if task is not None:
            self._progress.remove_task(task)

    def remove_all(self) -> None:
        for kind, name in tuple(self._tasks):
            self.remove(kind, name)


class _Lines:
    """Prints a line for each resource that was changed, with how many of them there are."""

    def __init__(
        self, output: Output, print_line: Callable[[Text], None], *, lines_stay: bool, rows: _Rows | None = None
    ) -> None:
        self._output = output
        self._print_line = print_line
        self._lines_stay = lines_stay
        self._rows = rows
        self._lock = Lock()
        self._total = 0
        self._finished = 0
        self._name_width = 0

    @property
    def have_stayed(self) -> bool:
        """Whether lines were printed."""
        return self._lines_stay and bool(self._finished)

    def report(self, event: DeployEvent) -> None:
        """Show one event."""
        with self._lock:
            match event:
                case ApplyStarted():
                    self._start(event)
                case ResourceStep():
                    if self._rows is not None:
                        self._rows.show_step(event)
                    self._output.detail(f"{event.kind} {event.name}: {event.text}")
                case ResourceFinished():
                    self._finish(event)
                case WaitingForLock():
                    self._output.message(f"Waiting for {event.holder} …")

    def _start(self, event: ApplyStarted) -> None:
        self._total = len(event.resources)
        self._name_width = max((len(_title(*one)) for one in event.resources), default=0)
        if self._rows is not None:
            self._rows.remove_all()  # what was bundled
            self._rows.show_total(self._count())

    def _finish(self, event: ResourceFinished) -> None:
        self._finished += 1
        if self._rows is not None:
            self._rows.remove(event.kind, event.name)
            self._rows.show_total(self._count())
        if self._lines_stay:
            self._print_line(self._line(event))

    def _line(self, event: ResourceFinished) -> Text:
        state = "failed" if event.failure is not None else f"{event.action}d"
        mark = Text("✗ ", "red") if event.failure is not None else Text("✓ ", "green")
        name = Text(_title(event.kind, event.name).ljust(self._name_width), NAME_STYLE)
        padding = " " * (_STATE_WIDTH - len(state))
        rest = f"{padding}  {event.seconds:5.1f} s  {self._count()}"
        return Text("  ") + mark + name + Text("  ") + state_cell(state) + Text(rest, "dim")

    def _count(self) -> str:
        return f"{self._finished} of {self._total}" if self._total else ""
