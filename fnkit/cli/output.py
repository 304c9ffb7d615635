"""Output of commands: one result on stdout; messages, warnings and progress on stderr.

With ``--json``, stdout holds exactly one JSON document; ``Document`` enforces that. Without it, a view renders
itself on a rich console. Progress is shown on terminals only, and may be updated from several threads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TextIO, runtime_checkable

import click

from fnkit.cli.progress import LiveProgressDisplay, ProgressDisplay, transient_progress
from fnkit.cli.wrapping import terminal_width, wrap
from fnkit.contract.text import escape_control_characters
from fnkit.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 10_000
"""Columns of a console that is not a terminal: wide enough that no line is wrapped or cut for a program."""


class View(Protocol):
    """A result in two forms, text and JSON. Both derive from the same frozen value, so they cannot diverge."""

    def to_json(self) -> dict[str, object]:
        """Return the JSON document, whose keys ``docs/cli.md`` guarantees."""
        ...

    def render(self, console: Console) -> None:
        """Print the result as text."""
        ...


@runtime_checkable
class BytesView(View, Protocol):
    """A result that is bytes wherever stdout is no terminal. It needs no console, which takes 25 ms to import."""

    def write_bytes(self, stream: BinaryIO) -> None:
        """Write the result."""
        ...


def json_fields(value: object, *names: str) -> dict[str, object]:
    """Return attributes of a value under their own names, for a JSON document."""
    return {name: getattr(value, name) for name in names}


class JsonDocument:
    """The one JSON document on stdout."""

    def __init__(self) -> None:
        self.written = False

    def write(self, value: dict[str, object]) -> bool:
        """Write the document; return False, and write nothing, if one was written before."""
        if self.written:
            return False
        self.written = True
        # ASCII with escapes: valid in every encoding, and able to hold file names that are not valid Unicode.
        sys.stdout.write(json.dumps(value, indent=2) + "\n")
        sys.stdout.flush()
        return True


class Output:
    """Writes the output of one command, as its flags ask.

    Args:
        document: The JSON document of this run.
        as_json: Whether ``--json`` was given.
        verbosity: -1 for ``--quiet``, 0 by default, 1 and more for each ``--verbose``.
        colour: False after ``--no-color``.
    """

    def __init__(self, document: JsonDocument, *, as_json: bool, verbosity: int, colour: bool) -> None:
        self.as_json = as_json
        self.verbosity = verbosity
        self.colour = colour
        self._document = document
        self._console: Console | None = None

    def result(self, view: View) -> None:
        """Write the result. Call it once in a run."""
        if self.as_json:
            self._document.write(view.to_json())
        elif isinstance(view, BytesView) and not sys.stdout.isatty():
            sys.stdout.flush()
            view.write_bytes(sys.stdout.buffer)
            sys.stdout.buffer.flush()
        else:
            view.render(make_console(stderr=False, colour=self.colour))
            sys.stdout.flush()

    def item(self, text: str, fields: dict[str, object]) -> None:
        """Write one item of a stream, such as a log line, as text or as one JSON object on one line."""
        self._document.written = True
        shown = json.dumps(fields) if self.as_json else escape_control_characters(text, multiline=True)
        click.echo(shown, color=None if self.colour else False)

    def item_view(self, view: View) -> None:
        """Write one item of a stream as its view renders it, or as one JSON object on one line."""
        self._document.written = True
        if self.as_json:
            click.echo(json.dumps(view.to_json()))
            return
        if self._console is None:
            self._console = make_console(stderr=False, colour=self.colour)
        view.render(self._console)
        sys.stdout.flush()

    def message(self, text: str) -> None:
        """Write a message to stderr, unless ``--quiet`` was given."""
        if self.verbosity >= 0:
            self._echo(text)

    def detail(self, text: str) -> None:
        """Write a detail to stderr if ``--verbose`` was given."""
        if self.verbosity > 0:
            self._echo(text)

    def warning(self, text: str) -> None:
        """Write a warning to stderr, also with ``--quiet``."""
        self._echo(text, head=click.style("warning:", fg="yellow", bold=True) + " ")

    def confirm(self, question: str, *, yes: bool) -> bool:
        """Ask for confirmation of a step that cannot be undone.

        Args:
            question: The question to show.
            yes: Whether the user confirmed in advance with ``--yes``.

        Raises:
            UsageError: ``confirmation-needed``, if standard input is not a terminal or ``--json`` was given.
        """
        if yes:
            return True
        if self.as_json or not sys.stdin.isatty():
            stated = question.removesuffix("\nContinue?")
            raise UsageError(
                f"Confirmation is required: {stated}", code="confirmation-needed", hint="Pass --yes to confirm."
            )
        return click.confirm(escape_control_characters(question, multiline=True), err=True)

    @contextmanager
    def progress(self, title: str) -> Iterator[ProgressDisplay]:
        """Show progress on stderr while the block runs.

        Show nothing with ``--json`` or ``--quiet``, or if stderr is not a terminal.

        Args:
            title: What the work is.
        """
        if self.as_json or self.verbosity < 0 or not sys.stderr.isatty():
            yield ProgressDisplay()
            return
        with transient_progress(make_console(stderr=True, colour=self.colour)) as progress:
            yield LiveProgressDisplay(progress, title)

    def _echo(self, text: str, *, head: str = "") -> None:
        width = terminal_width(sys.stderr)
        lines = wrap(escape_control_characters(text, multiline=True), width, taken=len(click.unstyle(head)))
        shown = head + "\n".join(lines)
        click.echo(shown, err=True, color=None if self.colour else False)


def make_console(*, stderr: bool, colour: bool, stream: TextIO | None = None) -> Console:
    """Return a console that prints text without markup, emoji codes, highlighting and control characters.

    Args:
        stderr: Whether the console writes to stderr instead of stdout.
        stream: Where it writes instead, such as a file.
        colour: Whether to allow colours. rich disables them for ``NO_COLOR`` and for pipes in any case.
    """
    from rich.console import Console
    from rich.text import Text

    class SafeConsole(Console):
        """Escapes control characters in all text that it is given; rich itself adds the colours afterwards."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(escape_control_characters(text, multiline=True), **options)

    if stream is None:
        stream = sys.stderr if stderr else sys.stdout
    return SafeConsole(
        file=stream,
        width=None if stream.isatty() else PIPE_WIDTH,
        no_color=None if colour else True,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )
