"""Whatever is printed fits into the terminal, unless it is one word, and nothing of it is lost."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from fnkit.cli.layout import Column, Row, print_commands, print_fields, print_table, print_wrapped

WORDS = st.text(alphabet="ab/é日🙂", min_size=1, max_size=30)
SENTENCES = st.lists(WORDS, max_size=12).map(" ".join)
WIDTHS = st.integers(min_value=1, max_value=90)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[Column], list[Row]]:
    count = draw(st.integers(1, 4))
    columns = [Column("TITLE"[: draw(st.integers(1, 5))], right=draw(st.booleans())) for _ in range(count)]
    if draw(st.booleans()):
        columns[-1] = Column("TEXT", wraps=True)
    cells = [WORDS, *[SENTENCES] * (count - 1)]
    row = st.builds(Row, st.tuples(*cells), st.lists(SENTENCES, max_size=2).map(tuple))
    return columns, draw(st.lists(row, min_size=1, max_size=4))


def shown(render: Callable[[Console], None], width: int) -> list[str]:
    text = io.StringIO()
    render(Console(file=text, width=width, color_system=None, soft_wrap=True))
    return text.getvalue().splitlines()


def check_width(lines: list[str], width: int, indent: int) -> None:
    """Fail if a line is too wide although it could have been continued: it has a word besides a label."""
    for line in lines:
        assert line == line.rstrip()
        beyond = line[indent:].strip()
        assert cell_len(line) <= width or " " not in beyond, (width, lines)


@given(SENTENCES, WIDTHS, st.integers(0, 5), st.integers(0, 5))
def test_sentences_fit_and_keep_every_word(text: str, width: int, indent: int, hanging: int) -> None:
    lines = shown(lambda console: print_wrapped(console, text, indent=indent, hanging=hanging), width)

    check_width(lines, width, 0)
    assert " ".join(lines).split() == text.split()


@given(tables(), WIDTHS)
def test_tables_fit_and_keep_every_word(table: tuple[list[Column], list[Row]], width: int) -> None:
    columns, rows = table
    lines = shown(lambda console: print_table(console, columns, rows), width)

    labels = "|".join(re.escape(column.title.lower()) for column in columns)
    check_width([re.sub(rf"^  ({labels}) ", "", line) for line in lines if line], width, 0)
    printed = sorted(" ".join(lines).split())
    for word in [word for row in rows for cell in (*row.cells, *row.details) for word in str(cell).split()]:
        printed.remove(word)


@given(st.lists(st.tuples(st.sampled_from(["API", "Data"]), SENTENCES), max_size=4), WIDTHS)
def test_fields_fit_and_keep_every_word(fields: list[tuple[str, str]], width: int) -> None:
    lines = shown(lambda console: print_fields(console, fields), width)

    check_width(lines, width, 0)
    printed = [word for word in " ".join(lines).split() if word not in ("API", "Data")]
    assert printed == [word for _, text in fields for word in text.split()]


@given(st.lists(st.tuples(WORDS, SENTENCES), max_size=4), WIDTHS)
def test_commands_fit_and_keep_every_word(commands: list[tuple[str, str]], width: int) -> None:
    lines = shown(lambda console: print_commands(console, "Next:", commands), width)

    check_width(lines, width, 0)
    assert " ".join(lines).split() == [
        "Next:",
        *(word for pair in commands for text in pair for word in text.split()),
    ]
