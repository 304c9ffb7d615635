"""docs/security.md: its table is generated, and each protection is attacked by a test."""

from __future__ import annotations

from fnkit.platform.data_plane.workers.isolation import Protection
from tests.support.security_page import PAGE, attacks_by_protection, render_page


def test_table_of_protections_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(), "run python -m tests.support.security_page"


def test_each_protection_is_attacked() -> None:
    assert {protection for protection in Protection if not attacks_by_protection()[protection]} == set()
