"""What a terminal shows after a program wrote to it: a small emulator, which keeps the styles of the text."""

from __future__ import annotations

import re
from itertools import groupby

from rich.text import Text

__all__ = ["TerminalScreen", "shown_text", "with_marks"]

_TOKEN = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\r|\n|[^\x1b\r\n]+|\x1b")
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_ATTRIBUTES = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse"}
_RESETS = {22: ("bold", "dim"), 23: ("italic",), 24: ("underline",), 27: ("reverse",)}


class TerminalScreen:
    """The lines of a terminal that is high enough for everything.

    It knows what fnkit and rich write: text, line ends, carriage returns, colours, moving up, and erasing a line.
    """

    def __init__(self) -> None:
        self._lines: list[list[tuple[str, str]]] = [[]]
        self._row = 0
        self._column = 0
        self._attributes: set[str] = set()
        self._colour = ""

    def write(self, text: str) -> None:
        """Show what a program writes."""
        for token in _TOKEN.finditer(text):
            if token[2]:
                self._control(token[1], token[2])
            elif token[0] == "\r":
                self._column = 0
            elif token[0] == "\n":
                self._row += 1
                self._column = 0
                while len(self._lines) <= self._row:
                    self._lines.append([])
            else:
                self._put(token[0])

    def lines(self) -> list[Text]:
        """Return the lines with their styles, without spaces at their ends and empty lines at the end."""
        shown = []
        for line in self._lines:
            text = Text()
            for style, cells in groupby(line, key=lambda cell: cell[1]):
                text.append("".join(character for character, _ in cells), style)
            text.rstrip()
            shown.append(text)
        while shown and not shown[-1]:
            shown.pop()
        return shown

    def _put(self, text: str) -> None:
        line = self._lines[self._row]
        line += [(" ", "")] * (self._column - len(line))
        style = " ".join([*sorted(self._attributes), *([self._colour] if self._colour else [])])
        line[self._column : self._column + len(text)] = [(character, style) for character in text]
        self._column += len(text)

    def _control(self, parameters: str, command: str) -> None:
        numbers = [int(one) if one.isdigit() else 0 for one in parameters.split(";")]
        match command:
            case "m":
                self._change_style(numbers)
            case "A":
                self._row = max(0, self._row - max(1, numbers[0]))
            case "K":
                line = self._lines[self._row]
                if numbers[0] == 2:
                    line.clear()
                else:
                    del line[self._column :]
            case "G":
                self._column = max(0, numbers[0] - 1)
            case "J" if numbers[0] == 2:
                self._lines = [[]]
            case "H":
                self._row = self._column = 0
            case "J" | "h" | "l":  # erases what was scrolled away, shows and hides the cursor
                pass
            case _:
                raise AssertionError(f"unknown control sequence: {parameters}{command}")

    def _change_style(self, numbers: list[int]) -> None:
        for number in numbers:
            if number == 0:
                self._attributes, self._colour = set(), ""
            elif number in _ATTRIBUTES:
                self._attributes.add(_ATTRIBUTES[number])
            elif number in _RESETS:
                self._attributes.difference_update(_RESETS[number])
            elif number == 39:
                self._colour = ""
            elif 30 <= number <= 37:
                self._colour = _COLOURS[number - 30]
            elif 90 <= number <= 97:
                self._colour = f"bright_{_COLOURS[number - 90]}"
            else:  # a colour of 256 or more, of progress that is gone in the end
                return


def shown_text(output: str) -> list[Text]:
    """Return the lines that a terminal shows in the end."""
    screen = TerminalScreen()
    screen.write(output)
    return screen.lines()


def with_marks(line: Text) -> str:
    """Return a line with its styles in marks: ``‹bold›hello‹/›``."""
    marked = ""
    for piece in line.divide(sorted({offset for span in line.spans for offset in (span.start, span.end)})):
        style = " ".join(str(span.style) for span in piece.spans if span.style)
        marked += f"‹{style}›{piece.plain}‹/›" if style and piece.plain.strip() else piece.plain
    return marked
