"""A handler that ``fnkit invoke`` runs in a terminal can ask questions: ``breakpoint()`` and ``input()``."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.terminal import terminal

HANDLER = """from fnkit import function


@function(timeout="10s")
def books(event, context):
    total = 6 * 7
    breakpoint()
    return input("name? ")
"""


@pytest.fixture
def shop(project: Path) -> Path:
    (project / "fnkit.toml").write_text('name = "shop"\n')
    (project / "main.py").write_text(HANDLER)
    return project


def test_handler_can_be_debugged(shop: Path) -> None:
    with terminal("invoke", "books", "--no-timeout", directory=shop) as session:
        session.wait_for("(Pdb) ")
        session.type("p total * 10\n")
        session.wait_for("420")
        session.type("continue\n")
        session.wait_for("name? ")
        session.type("Ada\n")
        assert session.wait() == 0
    assert session.shown.replace("\r", "").rstrip().endswith("Ada")


def test_interrupted_handler_ends_with_its_command(shop: Path) -> None:
    with terminal("invoke", "books", directory=shop) as session:
        session.wait_for("(Pdb) ")
        session.type("\x03")
        session.wait_for("Interrupt")
        session.type("q\n")
        assert session.wait() in (1, 130)
    assert "handler_process.py" not in session.shown
