"""Tables, fields and sentences in terminals of different widths, and without one."""

from __future__ import annotations

import io
from collections.abc import Callable

from rich.console import Console
from rich.text import Text

from fnkit.cli.layout import (
    Column,
    Row,
    counted,
    print_commands,
    print_fields,
    print_note,
    print_table,
    print_wrapped,
    safe_text,
    state_cell,
)
from fnkit.cli.output import PIPE_WIDTH

COLUMNS = (Column("NAME"), Column("SIZE", right=True), Column("URL"))
ROWS = (Row(("hello", "9 B", "http://127.0.0.1:8481/fr-par/hello")), Row(("report-10", "1024 B", "")))


def shown(render: Callable[[Console], None], width: int = 100) -> str:
    text = io.StringIO()
    render(Console(file=text, width=width, color_system=None, soft_wrap=True))
    return text.getvalue()


def coloured(render: Callable[[Console], None]) -> str:
    text = io.StringIO()
    render(Console(file=text, width=100, force_terminal=True, color_system="standard", soft_wrap=True))
    return text.getvalue()


def test_columns_are_aligned_below_their_titles() -> None:
    assert shown(lambda console: print_table(console, COLUMNS, ROWS, indent=2)) == (
        "  NAME         SIZE  URL\n  hello         9 B  http://127.0.0.1:8481/fr-par/hello\n  report-10  1024 B\n"
    )


def test_the_widest_column_goes_below_the_row_where_a_line_is_too_short() -> None:
    assert shown(lambda console: print_table(console, COLUMNS, ROWS), 40) == (
        "NAME         SIZE\nhello         9 B\n  url http://127.0.0.1:8481/fr-par/hello\nreport-10  1024 B\n"
    )


def test_a_column_of_sentences_is_wrapped_in_what_the_others_leave() -> None:
    columns = (Column("CODE"), Column("MEANING", wraps=True))
    rows = (Row(("bad-name", "A name has characters that are not allowed.")), Row(("x", "Short.")))

    assert shown(lambda console: print_table(console, columns, rows), 36) == (
        "CODE      MEANING\nbad-name  A name has characters that\n          are not allowed.\nx         Short.\n"
    )
    assert shown(lambda console: print_table(console, columns, rows), 30) == (
        "CODE\nbad-name\n  A name has characters that\n  are not allowed.\nx\n  Short.\n"
    )


def test_a_column_without_cells_is_left_out() -> None:
    rows = (Row(("hello", "", "http://localhost")),)
    assert shown(lambda console: print_table(console, COLUMNS, rows)) == "NAME   URL\nhello  http://localhost\n"


def test_details_of_a_row_are_indented_below_it_and_wrapped() -> None:
    rows = (Row(("hello", "9 B", ""), details=("its handler does not exist any more",)),)
    assert shown(lambda console: print_table(console, COLUMNS, rows), 24) == (
        "NAME   SIZE\nhello   9 B\n  its handler does not\n    exist any more\n"
    )


def test_an_empty_table_prints_nothing() -> None:
    assert shown(lambda console: print_table(console, COLUMNS, ())) == ""


def test_sentences_continue_below_their_beginning_and_between_words() -> None:
    url = f"http://localhost/{'x' * 40}"
    text = f"Open {url} in a browser, and wait."

    assert shown(lambda console: print_note(console, text), 30) == (
        f"note: Open\n      {url}\n      in a browser, and wait.\n"
    )
    assert shown(lambda console: print_note(console, "one\n\ntwo"), 30) == "note: one\n\n      two\n"


def test_an_indented_line_is_continued_with_its_own_indentation() -> None:
    text = "It failed:\n    File main.py, line 4"
    assert shown(lambda console: print_wrapped(console, text, indent=2, hanging=2), 20) == (
        "  It failed:\n        File\n        main.py,\n        line 4\n"
    )


def test_without_a_terminal_a_sentence_is_one_line() -> None:
    text = "word " * 200
    assert shown(lambda console: print_wrapped(console, text), PIPE_WIDTH) == f"{text.strip()}\n"


def test_fields_without_a_value_are_left_out() -> None:
    fields = (("API", "http://127.0.0.1:8480"), ("NATS", ""), ("Isolation", Text("cgroup")))
    assert shown(lambda console: print_fields(console, fields, indent=2)) == (
        "  API        http://127.0.0.1:8480\n  Isolation  cgroup\n"
    )


def test_a_value_that_is_too_long_is_below_its_name() -> None:
    fields = (("API", "http://127.0.0.1:8480"), ("Level", "cgroup"))
    assert shown(lambda console: print_fields(console, fields), 20) == (
        "API\n  http://127.0.0.1:8480\nLevel  cgroup\n"
    )


def test_commands_have_their_purpose_beside_them_or_below() -> None:
    commands = (("cd shop", ""), ("fnkit deploy --local", "to this machine"))
    assert shown(lambda console: print_commands(console, "Next:", commands), 40) == (
        "Next:\n  cd shop\n  fnkit deploy --local  to this machine\n"
    )
    assert shown(lambda console: print_commands(console, "Next:", commands), 30) == (
        "Next:\n  cd shop\n  fnkit deploy --local\n    to this machine\n"
    )


def test_colour_is_on_the_state_alone() -> None:
    columns = (Column("NAME", "bold"), Column("STATUS"))
    line = coloured(lambda console: print_table(console, columns, [Row(("hello", state_cell("error")))]))
    assert line.splitlines()[1] == "\x1b[1mhello\x1b[0m  \x1b[31merror\x1b[0m"


def test_control_characters_of_cells_are_escaped() -> None:
    columns = (Column("NAME"), Column("STATUS"))
    rows = [Row(("\x1b[2J", safe_text("a\x07\x9b"))), Row(("b", state_cell("\x1b")), details=("\r",))]
    assert shown(lambda console: print_table(console, columns, rows)) == (
        "NAME     STATUS\n\\x1b[2J  a\\x07\\x9b\nb        \\x1b\n  \\r\n"
    )


def test_things_are_counted_in_singular_and_plural() -> None:
    assert (counted(0, "cron"), counted(1, "cron"), counted(2, "cron")) == ("0 crons", "1 cron", "2 crons")
