"""Where a verb's answer goes: one result on stdout, everything else on stderr.

With ``--json`` stdout holds exactly one JSON document. ``Document`` is that promise: it writes once, and a
failure after a result leaves the result alone. Without ``--json`` a view renders itself on a rich console.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import click

from fnkit.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.cli.progress import Progress

__all__ = ["Document", "Output", "View", "console_for"]

WIDE = 10_000
"""Columns of a console that is no terminal: a program reads it, so nothing is wrapped or cut."""


class View(Protocol):
    """One answer in its two forms. Both come from the same frozen value, so they cannot diverge."""

    def to_json(self) -> dict[str, object]:
        """The document that scripts rely on (``docs/cli.md``)."""
        ...

    def render(self, console: Console) -> None:
        """Print the same for people."""
        ...


class Document:
    """Standard output's one JSON document."""

    def __init__(self) -> None:
        self.written = False

    def write(self, value: dict[str, object]) -> bool:
        """Write the document; False when one was written already."""
        if self.written:
            return False
        self.written = True
        # ASCII: valid in every terminal's encoding, and for file names that are not Unicode.
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
        sys.stdout.flush()
        return True


class Output:
    """A verb's only way to say something.

    as_json: ``--json``. verbosity: -1 quiet, 0 normal, 1 and more detailed. colour: False after ``--no-color``.
    """

    def __init__(self, document: Document, *, as_json: bool, verbosity: int, colour: bool) -> None:
        self.as_json = as_json
        self.verbosity = verbosity
        self.colour = colour
        self._document = document

    def result(self, view: View) -> None:
        """Give the answer: once a run."""
        if self.as_json:
            self._document.write(view.to_json())
        else:
            view.render(console_for(stderr=False, colour=self.colour))
            sys.stdout.flush()

    def line(self, text: str, fields: dict[str, object]) -> None:
        """Give one item of an endless answer (logs): its text, or one JSON object on one line."""
        self._document.written = True
        click.echo(json.dumps(fields) if self.as_json else text, color=None if self.colour else False)

    def message(self, text: str) -> None:
        """Say what happens, on stderr; ``-q`` silences it."""
        if self.verbosity >= 0:
            self._echo(text)

    def detail(self, text: str) -> None:
        """Say what only ``-v`` asks for, on stderr."""
        if self.verbosity > 0:
            self._echo(text)

    def warning(self, text: str) -> None:
        """Say what the reader should act on, on stderr, also under ``-q``."""
        self._echo(click.style("warning:", fg="yellow", bold=True) + f" {text}")

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Ask before something that cannot be undone; True when ``yes`` or the answer is yes.

        Raises:
            UsageError: ``confirmation-needed``, when nobody is there to answer.
        """
        if yes:
            return True
        if self.as_json or not sys.stdin.isatty():
            raise UsageError(
                f"This needs a yes: {question}", code="confirmation-needed", hint="Add --yes to go ahead."
            )
        return click.confirm(question, err=True)

    @contextmanager
    def progress(self, title: str, total: int | None = None) -> Iterator[Progress]:
        """Show how far the work is, on stderr, while the block runs.

        Silent with ``--json`` and ``-q`` and where stderr is no terminal. ``total`` is the number of steps;
        ``None`` shows that something moves.
        """
        from fnkit.cli.progress import LiveProgress, SilentProgress

        if self.as_json or self.verbosity < 0 or not sys.stderr.isatty():
            yield SilentProgress()
            return
        with LiveProgress(console_for(stderr=True, colour=self.colour), title, total) as progress:
            yield progress

    def _echo(self, text: str) -> None:
        click.echo(text, err=True, color=None if self.colour else False)


def console_for(*, stderr: bool, colour: bool) -> Console:
    """A console that prints what it is given: no markup, no emoji codes, no guessing at colours."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        width=None if stream.isatty() else WIDE,
        no_color=None if colour else True,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )
