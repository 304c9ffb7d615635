"""Normalising replaces values that differ between runs, and keeps all others."""

from __future__ import annotations

import pytest

from tests.support.normalisation import normalise
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id 1b4e28ba-2fa1-41d2-883f-0016d3cca427.", "id <uuid>."),
        ("http://127.0.0.1:8480/x", "http://127.0.0.1:<port>/x"),
        ("http://a.localhost:8481/", "http://a.localhost:<port>/"),
        ("(pid 4711)", "(pid <pid>)"),
        ('{"pid": 4711, "duration_ms": 1.25}', '{"pid": <pid>, "duration_ms": <n>}'),
        ("at 2026-11-23T20:15:33.123456Z", "at <time>"),
        ("200 in 12.5 ms", "200 in <n> ms"),
        ("SCW8FQFIP6XE5OXUKY4E", "<access key>"),
        ("memory 256, max_scale 5", "memory 256, max_scale 5"),
    ],
)
def test_volatile_values_are_replaced_by_placeholders(text: str, expected: str) -> None:
    assert normalise(text) == expected


def test_longest_matching_path_is_replaced() -> None:
    assert normalise("/tmp/a/b and /tmp/a", {"/tmp/a": "home", "/tmp/a/b": "project"}) == "<project> and <home>"


def test_wait_until_returns_the_value_or_fails_with_its_description() -> None:
    answers = iter([0, 0, 7])
    assert wait_until(lambda: next(answers)) == 7
    with pytest.raises(AssertionError, match="a condition that never holds"):
        wait_until(lambda: False, deadline=0.0, what="a condition that never holds")
