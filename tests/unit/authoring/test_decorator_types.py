"""The decorators under mypy: handler signatures are kept, and misuse is an error at its line."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source_tree import REPOSITORY

TYPING = REPOSITORY / "tests" / "typing"


def type_errors(path: Path) -> set[tuple[int, str]]:
    """``(line, code)`` of every mypy error in a file."""
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--hide-error-context", str(path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(rf"{re.escape(path.name)}:(\d+): error: .*\[([a-z-]+)\]", run.stdout)
    assert run.returncode in (0, 1), run.stderr + run.stdout
    return {(int(line), code) for line, code in found}


@pytest.mark.slow
def test_decorated_handlers_keep_their_types() -> None:
    assert type_errors(TYPING / "decorators.py") == set()


@pytest.mark.slow
def test_misuse_is_a_type_error_at_its_line() -> None:
    path = TYPING / "must_fail" / "decorators.py"
    marked = {
        (number, mark[1])
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if (mark := re.search(r"# refused: ([a-z-]+)", line))
    }
    found = type_errors(path)
    assert found >= marked
    # A rejected decorator leaves its function untyped, which may be a second error on a marked line.
    assert {line for line, _ in found} == {line for line, _ in marked}
