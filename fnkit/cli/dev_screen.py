"""Where ``fnkit dev`` writes: the terminal with a line of keys at its bottom, or plain lines, and a file."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from fnkit.cli.output import PIPE_WIDTH, View, make_console

if TYPE_CHECKING:
    from rich.console import Console

_ERASE_LINE: Final = "\r\x1b[2K"
_CLEAR: Final = "\x1b[2J\x1b[3J\x1b[H"
_ELLIPSIS: Final = "…"


class DevScreen:
    """Writes views, one after the other. Never the whole screen: what was shown stays, and can be scrolled to.

    Args:
        as_json: Whether each view is one JSON object on one line.
        colour: Whether colours are allowed.
        is_interactive: Whether keys can be read from a terminal.
        log_file: A file that gets the same, without colours; ``None`` for none.
    """

    def __init__(self, *, as_json: bool, colour: bool, is_interactive: bool, log_file: TextIO | None) -> None:
        self._as_json = as_json
        self._is_interactive = is_interactive
        self._colour = colour
        self._consoles: list[Console] = []
        if not as_json:
            self._consoles.append(make_console(stderr=False, colour=colour))
        self._log_file = log_file
        if log_file is not None and not as_json:
            self._consoles.append(make_console(stderr=False, colour=False, stream=log_file))
        self._key_line = ""
        self._narrow_key_line = ""

    @property
    def width(self) -> int:
        """Columns of the terminal."""
        return self._consoles[0].width if self._consoles else PIPE_WIDTH

    def show(self, view: View) -> None:
        """Write a view above the line of keys."""
        if self._as_json:
            line = json.dumps(view.to_json())
            for stream in (sys.stdout, self._log_file):
                if stream is not None:
                    stream.write(line + "\n")
                    stream.flush()
            return
        self._erase_key_line()
        for console in self._consoles:
            view.render(console)
            console.file.flush()
        self._draw_key_line()

    def set_key_line(self, text: str, *, narrow: str = "") -> None:
        """Replace the line of keys.

        Args:
            text: The line; of one that is too long, the end is shown, where something is typed.
            narrow: What is shown instead where it is too long.
        """
        if self._is_interactive:
            self._erase_key_line()
            self._key_line, self._narrow_key_line = text, narrow
            self._draw_key_line()

    def clear(self) -> None:
        """Clear the terminal."""
        if self._is_interactive:
            sys.stdout.write(_CLEAR)
            self._draw_key_line()

    def _erase_key_line(self) -> None:
        if self._key_line:
            sys.stdout.write(_ERASE_LINE)

    def _draw_key_line(self) -> None:
        if not self._key_line:
            return
        room = self.width - 1  # a full line would wrap, and could not be erased
        text = self._key_line
        if len(text) > room:
            text = self._narrow_key_line[:room] or _ELLIPSIS + text[len(text) - room + 1 :]
        sys.stdout.write(f"\x1b[2m{text}\x1b[0m" if self._colour else text)
        sys.stdout.flush()


@contextmanager
def open_screen(*, as_json: bool, colour: bool, is_interactive: bool, log_file: Path | None) -> Iterator[DevScreen]:
    """Open the screen, and its file. The line of keys is gone at the end.

    Raises:
        OSError: The file cannot be written.
    """
    with ExitStack() as stack:
        stream = None
        if log_file is not None:
            stream = stack.enter_context(log_file.open("a", encoding="utf-8", errors="backslashreplace"))
        screen = DevScreen(as_json=as_json, colour=colour, is_interactive=is_interactive, log_file=stream)
        try:
            yield screen
        finally:
            screen.set_key_line("")
