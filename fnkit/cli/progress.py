"""How far a long step is: shown on a terminal, silent elsewhere. Safe to call from several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

__all__ = ["LiveProgress", "Progress", "SilentProgress"]


class Progress(Protocol):
    """What a verb may do with it."""

    def update(self, text: str, *, advance: int = 0) -> None:
        """Show what is being done now; ``advance`` steps are finished."""
        ...

    def grow(self, steps: int) -> None:
        """There are ``steps`` more to do than was known."""
        ...

    def paused(self) -> AbstractContextManager[None]:
        """Keep out of the way while somebody is asked something."""
        ...


class SilentProgress:
    """Nobody is watching."""

    def update(self, text: str, *, advance: int = 0) -> None:
        """Do nothing."""

    def grow(self, steps: int) -> None:
        """Do nothing."""

    def paused(self) -> AbstractContextManager[None]:
        """Do nothing."""
        return nullcontext()


class _PlainText(ProgressColumn):
    """The description as it is: names may hold what rich would read as markup."""

    def render(self, task: object) -> Text:
        return Text(str(getattr(task, "description", "")))


class LiveProgress:
    """A line that lives at the bottom of the terminal and leaves nothing behind."""

    def __init__(self, console: Console, title: str, total: int | None) -> None:
        counted = (BarColumn(bar_width=24), MofNCompleteColumn()) if total is not None else ()
        self._rich = RichProgress(
            SpinnerColumn(),
            TextColumn("{task.fields[title]}", markup=False),
            *counted,
            _PlainText(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._rich.add_task("", total=total, title=title)

    def __enter__(self) -> Self:
        """Start showing it."""
        self._rich.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Clear the line."""
        self._rich.stop()

    def update(self, text: str, *, advance: int = 0) -> None:
        """Show what is being done now; ``advance`` steps are finished."""
        self._rich.update(self._task, description=text, advance=advance)

    def grow(self, steps: int) -> None:
        """Raise the number of steps by ``steps``."""
        task = self._rich.tasks[0]
        self._rich.update(self._task, total=(task.total or 0) + steps)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Clear the line while the block runs, so that a question stands alone."""
        self._rich.stop()
        try:
            yield
        finally:
            self._rich.start()
