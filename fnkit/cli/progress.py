"""Progress displays: a line at the bottom of a terminal while something takes time, and nothing anywhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from fnkit.contract.text import escape_control_characters

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


class ProgressDisplay:
    """The progress display of one command. This one shows nothing."""

    def update(self, text: str) -> None:
        """Show the current step."""

    def paused(self) -> AbstractContextManager[None]:
        """Hide the display while the block runs, so that a prompt is readable."""
        return nullcontext()


class LiveProgressDisplay(ProgressDisplay):
    """A progress line at the bottom of a terminal."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task_id = progress.add_task("", total=None, title=title)

    def update(self, text: str) -> None:
        """Show the current step."""
        self._progress.update(self._task_id, description=escape_control_characters(text))

    def paused(self) -> AbstractContextManager[None]:
        """Clear the line while the block runs, so that a prompt is readable."""
        return hidden(self._progress)


@contextmanager
def hidden(progress: Progress) -> Iterator[None]:
    """Clear the lines of a display while the block runs."""
    progress.stop()
    try:
        yield
    finally:
        progress.start()


def transient_progress(console: Console) -> Progress:
    """Return a display of lines that are removed at the end, each with a ``title``, its step and its duration."""
    # Imported here: rich takes tens of milliseconds, and most runs of a command show no progress.
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.table import Column

    return Progress(
        SpinnerColumn(style="green"),
        # No markup: names of functions may hold brackets.
        TextColumn("{task.fields[title]}", style="bold", markup=False),
        # Cut off where the line ends: a step that wrapped would make the lines jump.
        TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True, overflow="ellipsis")),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
