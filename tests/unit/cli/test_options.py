"""``--quota``: what is said and what is not understood."""

from __future__ import annotations

import click
import pytest

from fnkit.cli.options import parse_quotas
from fnkit.platform.model.settings import Quotas

OPTION = click.Option(["--quota"])
CONTEXT = click.Context(click.Command("start"))


@pytest.mark.parametrize(
    ("text", "quotas"),
    [
        (None, None),
        ("none", {"functions": None, "namespaces": None, "memory": None}),
        ("functions=5", {"functions": 5}),
        ("functions=5, namespaces=none,memory=2GiB", {"functions": 5, "namespaces": None, "memory": 2048}),
        ("memory=512", {"memory": 512}),
        ("memory=512MB", {"memory": 512}),
        ("memory=1t", {"memory": 1024 * 1024}),
    ],
)
def test_numbers_sizes_and_none_are_read(text: str | None, quotas: dict[str, int | None] | None) -> None:
    assert parse_quotas(CONTEXT, OPTION, text) == quotas


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("functions", "'functions' is not one of functions=N"),
        ("crons=4", "'crons=4' is not one of"),
        ("functions=-1", "functions is '-1', not a whole number or none"),
        ("functions=٣", "not a whole number"),
        ("memory=much", "memory is 'much', not a size such as 600GiB or none"),
        ("", "'' is not one of"),
    ],
)
def test_anything_else_is_refused_with_what_it_should_be(text: str, words: str) -> None:
    with pytest.raises(click.BadParameter, match=words):
        parse_quotas(CONTEXT, OPTION, text)


def test_the_defaults_are_the_published_figures() -> None:
    assert Quotas() == Quotas(namespaces=100, functions=1000, memory=600 * 1024)
