"""Text from elsewhere cannot control a terminal or begin a line of its own, and names have an order."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fnkit.contract.text import escape_control_characters, natural_key


@given(st.text())
def test_no_control_character_remains_and_nothing_else_changes(text: str) -> None:
    shown = escape_control_characters(text)
    in_lines = escape_control_characters(text, multiline=True)

    assert not any(unicodedata.category(one) == "Cc" or one in "\u2028\u2029" for one in shown)
    assert {one for one in in_lines if unicodedata.category(one) == "Cc"} <= {"\t", "\n"}
    assert in_lines.count("\n") == text.count("\n")
    if text.isprintable():
        assert shown == in_lines == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\r\nb\tc", "a\\r\\nb\\tc"),
        ("\x9b2J\x7f\x00", "\\x9b2J\\x7f\\x00"),
        ("\u202egnp.exe\u2069", "\\u202egnp.exe\\u2069"),
        ("été 日本 🙂", "été 日本 🙂"),
    ],
)
def test_escapes_are_those_of_python(text: str, shown: str) -> None:
    assert escape_control_characters(text) == shown


@pytest.mark.parametrize(
    "ordered",
    [
        ["api", "endpoint-2", "endpoint-10", "endpoint-10-a", "endpoint-x"],
        ["a/1", "a/9", "a/10", "b"],
        ["v01", "v1", "v1-1", "v2", f"v{'9' * 5000}"],
    ],
)
def test_numbers_in_names_are_ordered_by_value(ordered: list[str]) -> None:
    assert sorted(set(ordered), key=natural_key) == ordered


@given(st.lists(st.text(alphabet="a-019", max_size=6), unique=True))
def test_the_order_of_names_does_not_depend_on_where_they_were(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)
