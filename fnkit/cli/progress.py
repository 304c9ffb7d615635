"""Progress of long steps, shown on terminals only. May be updated from several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LiveProgressDisplay", "ProgressDisplay", "SilentProgressDisplay"]


class ProgressDisplay(Protocol):
    """The progress display of one command."""

    def update(self, text: str, *, advance: int = 0) -> None:
        """Show the current step, and count ``advance`` more steps as finished."""
        ...

    def add_steps(self, steps: int) -> None:
        """Raise the total number of steps by ``steps``."""
        ...

    def paused(self) -> AbstractContextManager[None]:
        """Hide the display while the block runs, so that a prompt is readable."""
        ...


class SilentProgressDisplay:
    """A progress display that shows nothing."""

    def update(self, text: str, *, advance: int = 0) -> None:
        """Do nothing."""

    def add_steps(self, steps: int) -> None:
        """Do nothing."""

    def paused(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


class LiveProgressDisplay:
    """A progress line at the bottom of a terminal, removed at the end."""

    def __init__(self, console: Console, title: str, total: int | None) -> None:
        # Imported here: rich takes tens of milliseconds, and most runs of a command show no progress.
        from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as RichProgress
        from rich.table import Column

        counted = (BarColumn(bar_width=24), MofNCompleteColumn()) if total is not None else ()
        self._progress = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.fields[title]}", markup=False),
            *counted,
            # No markup: names of functions may hold brackets. A plain column may wrap, unlike the default.
            TextColumn("{task.description}", markup=False, table_column=Column()),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task_id = self._progress.add_task("", total=total, title=title)

    def __enter__(self) -> Self:
        """Start the display."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the display and clear the line."""
        self._progress.stop()

    def update(self, text: str, *, advance: int = 0) -> None:
        """Show the current step, and count ``advance`` more steps as finished."""
        self._progress.update(self._task_id, description=text, advance=advance)

    def add_steps(self, steps: int) -> None:
        """Raise the total number of steps by ``steps``."""
        task = self._progress.tasks[0]
        self._progress.update(self._task_id, total=(task.total or 0) + steps)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Clear the line while the block runs, so that a prompt is readable."""
        self._progress.stop()
        try:
            yield
        finally:
            self._progress.start()
