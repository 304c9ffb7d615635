"""Text is broken between words only, and nothing that a user copies is ever broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.cli.wrapping import cell_width, wrap


def test_text_without_a_terminal_is_one_line() -> None:
    assert wrap("word " * 100, None) == (("word " * 100).rstrip(),)


def test_lines_after_the_first_are_indented() -> None:
    assert wrap("The quick brown fox jumps over the dog.", 24, taken=7, indent="  ") == (
        "The quick brown",
        "  fox jumps over the",
        "  dog.",
    )


@pytest.mark.parametrize(
    "unbroken",
    [
        "https://shop-5f0c8a7e.functions.fnc.fr-par.scw.cloud/orders?page=2",
        "/home/somebody/projects/shop/handlers/orders/created.py",
        "`fnkit platform start --detach --api-port 8480`,",
    ],
)
def test_address_path_and_command_are_never_broken(unbroken: str) -> None:
    lines = wrap(f"Please have a look at this: {unbroken} and then try it again.", 40)
    assert any(unbroken in line for line in lines)


def test_own_line_ends_and_indentation_are_kept() -> None:
    assert wrap("One:\n  two three four five six seven\neight", 24, indent="    ") == (
        "One:",
        "  two three four five",
        "      six seven",
        "eight",
    )


def test_wide_characters_take_two_columns() -> None:
    assert (cell_width("größe"), cell_width("注文"), cell_width("e\u0301")) == (5, 4, 1)
    assert wrap("注文 注文 注文 注文 注文", 20) == ("注文 注文 注文 注文", "注文")


@given(st.text(st.sampled_from("ab `\n"), max_size=80), st.integers(20, 40), st.integers(0, 10))
def test_no_word_is_lost_and_only_long_words_exceed_the_width(text: str, width: int, taken: int) -> None:
    lines = wrap(text, width, taken=taken, indent="  ")
    assert " ".join(lines).split() == text.split()
    for number, line in enumerate(lines):
        room = width - (taken if number == 0 else 0)
        assert len(line) <= room or "`" in line or " " not in line.strip()
