"""Generates the table of docs/security.md: ``python -m tests.support.security_page`` writes it, a test checks it.

It says for each protection at which isolation levels it is enforced (``isolation.TABLE``), and what attacks it: the
tests that name it, and the misbehaving handlers that require it.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict

from fnkit.platform.data_plane.workers.isolation import TABLE, Level, Protection
from tests.support.misbehaving_handlers import NON_TERMINATING_HANDLERS, TERMINATING_HANDLERS
from tests.support.source_tree import REPOSITORY

__all__ = ["PAGE", "attacks_by_protection", "render_page"]

PAGE = REPOSITORY / "docs" / "security.md"
_BEGIN = "<!-- table: python -m tests.support.security_page -->\n"
_END = "<!-- end of table -->\n"
_TESTS = ("tests/integration/test_isolation.py", "tests/integration/test_limits.py")


def attacks_by_protection() -> dict[Protection, list[str]]:
    """Return the tests and handlers that attack each protection."""
    attacks: dict[Protection, list[str]] = defaultdict(list)
    for file in _TESTS:
        for node in ast.parse((REPOSITORY / file).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for name in sorted(_protections_named_in(node)):
                    attacks[Protection[name]].append(f"`{node.name}`")
    for handler in (*TERMINATING_HANDLERS, *NON_TERMINATING_HANDLERS):
        if handler.requires is not None:
            attacks[handler.requires].append(f"a handler that {handler.name}")
    return attacks


def _protections_named_in(function: ast.FunctionDef) -> set[str]:
    return {
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Protection"
    }


def render_page() -> str:
    """Return the content of the page, with a new table."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    attacks = attacks_by_protection()
    levels = " | ".join(f"`{level.value}`" for level in Level)
    lines = [f"| protected | {levels} | attacked by |", "|---|" + "---|" * (len(Level) + 1)]
    for protection in Protection:
        cells = " | ".join("yes" if protection in TABLE[level] else "no" for level in Level)
        lines.append(f"| {protection.value} | {cells} | {', '.join(attacks[protection])} |")
    return before + _BEGIN + "\n" + "\n".join(lines) + "\n\n" + _END + after


if __name__ == "__main__":
    PAGE.write_text(render_page(), encoding="utf-8")
    sys.stdout.write(f"{PAGE.relative_to(REPOSITORY)}: {len(Protection)} protections\n")
