"""Lays out text for the width at hand: tables, lists of fields, and sentences that are wrapped between words.

A table whose columns do not fit puts the widest ones on lines of their own below each row, so that no address, id
or word is ever broken. Without a terminal (``PIPE_WIDTH``) everything fits, and each row is one line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from rich.cells import cell_len
from rich.text import Text

from fnkit.cli.wrapping import line_breaks
from fnkit.contract.text import escape_control_characters

if TYPE_CHECKING:
    from rich.console import Console

Cell: TypeAlias = str | Text

NAME_STYLE: Final = "bold"
URL_STYLE: Final = "underline"

_STATE_STYLES: Final = {
    "green": ("ready", "succeeded", "created", "replaced", "reloaded", "running", "ok"),
    "red": ("error", "failed", "dead", "deleted", "stopped", "locked"),
    "yellow": ("updated", "pending", "creating", "deleting", "missing", "upgrading", "idle"),
    "magenta": ("unknown",),
    "dim": ("unchanged", "kept"),
}
_STYLE_BY_STATE: Final = {state: style for style, states in _STATE_STYLES.items() for state in states}
_GAP: Final = 2
_DETAIL_INDENT: Final = 2
_MAX_OWN_INDENT: Final = 12
_MIN_WRAPPED_WIDTH: Final = 24  # of a column of sentences; a narrower one would have a word or two in each line


def state_style(state: str) -> str:
    """Return the rich style of a status or of what happened to a resource, empty for an unknown one."""
    return _STYLE_BY_STATE.get(state, "")


def state_cell(state: str) -> Text:
    """Return a status in its colour."""
    return safe_text(state, state_style(state))


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. One without a cell in any row is left out.

    Args:
        title: Its heading, in upper case.
        style: The rich style of its cells.
        right: Whether its cells are aligned to the right.
        wraps: Whether its cells are sentences, which are wrapped within the column. The last column only.
    """

    title: str
    style: str = ""
    right: bool = False
    wraps: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, with lines that belong to it.

    Args:
        cells: A cell for each column.
        details: Lines below it, which are indented and wrapped.
    """

    cells: tuple[Cell, ...]
    details: tuple[Cell, ...] = ()


def print_table(console: Console, columns: Sequence[Column], rows: Sequence[Row], *, indent: int = 0) -> None:
    """Print a table with a heading, and nothing if it has no rows.

    Args:
        console: Where to print.
        columns: The columns. The first one always stays in the row.
        rows: The rows.
        indent: Spaces before each line.
    """
    if not rows:
        return
    texts = [
        [safe_text(cell, column.style) for cell, column in zip(row.cells, columns, strict=True)] for row in rows
    ]
    room = console.width - indent
    widths = [_column_width(column, [line[place] for line in texts]) for place, column in enumerate(columns)]
    widths = _narrowed(columns, widths, room)
    inline = _places_that_fit(widths, room)
    heading = [safe_text(column.title, "dim") for column in columns]
    for line, details in zip([heading, *texts], [(), *(row.details for row in rows)], strict=True):
        cells = [(line[place], widths[place], columns[place].right) for place in inline]
        for text in _aligned(cells, indent):
            print_text(console, text)
        if line is not heading:
            _print_below(console, columns, line, inline, indent + _DETAIL_INDENT)
        for detail in details:
            print_wrapped(console, detail, indent=indent + _DETAIL_INDENT, hanging=2)


def print_fields(console: Console, fields: Sequence[tuple[str, Cell]], *, indent: int = 0) -> None:
    """Print names with their values, a line for each, without those whose value is empty.

    A value with a word that is too long for the rest of the line has lines of its own.
    """
    shown = [(name, text) for name, value in fields if (text := safe_text(value))]
    width = max((cell_len(name) for name, _ in shown), default=0)
    for name, value in shown:
        longest = max(map(cell_len, value.plain.split()), default=0)
        if indent + width + _GAP + longest <= console.width:
            print_wrapped(console, value, label=Text(f"{name:<{width}} ", "dim"), indent=indent)
        else:
            print_text(console, Text(" " * indent) + Text(name, "dim"))
            print_wrapped(console, value, indent=indent + _DETAIL_INDENT)


def print_commands(console: Console, title: str, commands: Sequence[tuple[str, str]]) -> None:
    """Print commands to type below a title, each with what it is for, or an empty text for nothing to add."""
    print_wrapped(console, title)
    width = max((cell_len(command) for command, _ in commands), default=0)
    fits = all(_DETAIL_INDENT + width + _GAP + cell_len(purpose) <= console.width for _, purpose in commands)
    for command, purpose in commands:
        line = Text(" " * _DETAIL_INDENT) + safe_text(command, NAME_STYLE)
        if purpose and fits:
            line = line + Text(" " * (width - cell_len(command) + _GAP)) + safe_text(purpose, "dim")
        print_text(console, line)
        if purpose and not fits:
            print_wrapped(console, safe_text(purpose, "dim"), indent=2 * _DETAIL_INDENT)


def print_text(console: Console, text: Text) -> None:
    """Print one line as it is, without spaces at its end."""
    text.rstrip()
    console.print(text, soft_wrap=True)


def print_wrapped(
    console: Console, text: Cell, *, label: Cell = "", indent: int = 0, hanging: int | None = None
) -> None:
    """Print a text, continued between words where the line ends. A word longer than the line is not broken.

    Args:
        console: Where to print.
        text: The text; its own line ends are kept.
        label: What stands before it on the first line.
        indent: Spaces before the first line.
        hanging: Spaces before each further line, besides ``indent``; by default the width of the label.
    """
    head = Text(" " * indent) + safe_text(label)
    if label:
        head.append(" ")
    margin = head.cell_len if hanging is None else indent + hanging
    lines = _wrapped(safe_text(text), console.width, first=head.cell_len, margin=margin)
    for number, line in enumerate(lines):
        print_text(console, (head if number == 0 else Text(" " * margin)) + line)


def safe_text(cell: Cell, style: str = "") -> Text:
    """Return a cell as text without control characters. A cell that is text already keeps its own style."""
    if isinstance(cell, Text):
        return cell.copy()
    return Text(escape_control_characters(cell, multiline=True), style)


def joined(*pieces: Cell) -> Text:
    """Return a text of several pieces, each of which keeps its own style. ``+`` would spread that of the first."""
    return Text.assemble(*(safe_text(piece) for piece in pieces))


def print_note(console: Console, text: str) -> None:
    """Print a sentence about what works, but not as one may expect."""
    print_wrapped(console, text, label=Text("note:", "bold cyan"))


def counted(number: int, thing: str) -> str:
    """Return a number with the thing that it counts, in its singular or plural.

    >>> counted(1, "function"), counted(2, "function")
    ('1 function', '2 functions')
    """
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _wrapped(text: Text, width: int, *, first: int = 0, margin: int = 0) -> list[Text]:
    """Return the lines of a text that is ``width`` cells wide with what stands before them (``line_breaks``).

    An indented line is continued with the same indentation.
    """
    lines: list[Text] = []
    for line in text.split("\n", allow_blank=True):
        own = Text(" " * min(len(line) - len(line.plain.lstrip(" ")), _MAX_OWN_INDENT))
        breaks = line_breaks(line.plain, width, first=margin if lines else first, margin=margin + len(own))
        head, *rest = line.divide(breaks)
        lines += [head, *(own + piece for piece in rest)]
    return lines


def _column_width(column: Column, cells: Sequence[Text]) -> int:
    """Return the width of a column, 0 for one that is left out."""
    widest = max(cell.cell_len for cell in cells)
    return max(widest, len(column.title)) if widest else 0


def _narrowed(columns: Sequence[Column], widths: Sequence[int], room: int) -> list[int]:
    """Return the widths with a last column of sentences in the room that the others leave, if that is enough."""
    left = room - sum(width + _GAP for width in widths[:-1] if width)
    if columns[-1].wraps and _MIN_WRAPPED_WIDTH <= left < widths[-1]:
        return [*widths[:-1], left]
    return list(widths)


def _places_that_fit(widths: Sequence[int], room: int) -> list[int]:
    """Return the columns that stay in the row: all but the widest ones, which go below it."""
    inline = [place for place, width in enumerate(widths) if width]
    while len(inline) > 1 and sum(widths[place] + _GAP for place in inline) - _GAP > room:
        inline.remove(max(inline[1:], key=lambda place: widths[place]))
    return inline


def _aligned(cells: Sequence[tuple[Text, int, bool]], indent: int) -> list[Text]:
    """Return the lines of a row: one, and more if a cell is wrapped in its column."""
    wrapped = [_wrapped(cell, width) for cell, width, _ in cells]
    lines = []
    for number in range(max(map(len, wrapped))):
        line = Text(" " * indent)
        for pieces, (_, width, right) in zip(wrapped, cells, strict=True):
            piece = pieces[number] if number < len(pieces) else Text()
            piece.rstrip()
            padding = Text(" " * (width - piece.cell_len))
            line = line + padding + piece if right else line + piece + padding
            line.append(" " * _GAP)
        lines.append(line)
    return lines


def _print_below(
    console: Console, columns: Sequence[Column], cells: Sequence[Text], inline: Sequence[int], indent: int
) -> None:
    """Print the cells that do not fit into the row, each after its column's title, except sentences."""
    for place, cell in enumerate(cells):
        if place not in inline and cell.cell_len:
            label = "" if columns[place].wraps else Text(columns[place].title.lower(), "dim")
            print_wrapped(console, cell, label=label, indent=indent)
