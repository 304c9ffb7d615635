"""docs/limits.md lists every limit with its source and date."""

from __future__ import annotations

from tests.support.limits_page import PAGE, limit_table, render_page


def test_limits_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run: python -m tests.support.limits_page"


def test_every_limit_of_somebody_else_has_a_date() -> None:
    assert [row.name for row in limit_table() if row.limit.source.url and not row.limit.source.date] == []
