"""``--quota`` and ``--kube-label``: accepted values, and the messages for rejected ones."""

from __future__ import annotations

import click
import pytest

from fnkit.cli.options import parse_kube_labels, parse_quotas
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
def test_quota_accepts_numbers_sizes_and_none(text: str | None, quotas: dict[str, int | None] | None) -> None:
    assert parse_quotas(CONTEXT, OPTION, text) == quotas


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("functions", "'functions' is not one of functions=N"),
        ("crons=4", "'crons=4' is not one of"),
        ("functions=-1", "functions is '-1', not a whole number or none"),
        ("functions=٣", "not a whole number"),
        ("memory=much", "memory is 'much', not a size such as 600GiB or none"),
        ("", "'' is not one of"),
    ],
)
def test_invalid_quota_is_rejected_with_the_expected_form(text: str, message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        parse_quotas(CONTEXT, OPTION, text)


def test_default_quotas_are_the_published_limits() -> None:
    assert Quotas() == Quotas(namespaces=100, functions=1000, memory=600 * 1024)


def test_labels_are_pairs_whose_value_may_be_empty() -> None:
    assert parse_kube_labels(CONTEXT, OPTION, ("a=b", "c=", "d=e=f")) == {"a": "b", "c": "", "d": "e=f"}
    assert parse_kube_labels(CONTEXT, OPTION, ()) is None


@pytest.mark.parametrize(
    ("values", "message"), [(("team",), "'team' is not KEY=VALUE"), (("a=b", "a=c"), "'a' is given twice")]
)
def test_label_that_is_no_pair_or_repeated_is_rejected(values: tuple[str, ...], message: str) -> None:
    with pytest.raises(click.BadParameter, match=message):
        parse_kube_labels(CONTEXT, OPTION, values)
