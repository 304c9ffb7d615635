"""pyright, which editors run, accepts what users write with fnkit, and refuses what mypy refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fnkit.scaffold.catalogue import list_templates
from tests.conformance.clients.packages import pyright
from tests.support.command import Command
from tests.support.source_tree import REPOSITORY

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(900)]

TYPING = REPOSITORY / "tests" / "typing"
MARK = "# refused"
PYTHON_TEMPLATES = ("api", "cron", "http", "queue", "sqs")


def errors(project: Path, *files: str, mode: str) -> list[dict[str, Any]]:
    """Return the errors that pyright finds in this mode."""
    settings = {"typeCheckingMode": mode, "reportUnusedFunction": False}
    (project / "pyrightconfig.json").write_text(json.dumps(settings))
    program = pyright() / "node_modules" / ".bin" / "pyright"
    done = subprocess.run(
        [str(program), "--outputjson", "--pythonpath", sys.executable, *files],
        cwd=project,
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)["generalDiagnostics"]
    return [one for one in found if one["severity"] == "error"]


@pytest.mark.parametrize("template", PYTHON_TEMPLATES)
def test_scaffolds_have_no_errors(template: str, tmp_path: Path) -> None:
    Command()("new", "shop", "--template", template, cwd=tmp_path).ok()
    assert errors(tmp_path / "shop", mode="standard") == []  # strict refuses what nats-py has no types for


def test_decorators_keep_the_types_of_handlers(tmp_path: Path) -> None:
    (tmp_path / "decorators.py").write_text((TYPING / "decorators.py").read_text())
    assert errors(tmp_path, "decorators.py", mode="strict") == []


def test_every_marked_line_is_refused(tmp_path: Path) -> None:
    text = (TYPING / "must_fail" / "decorators.py").read_text()
    (tmp_path / "decorators.py").write_text(text)
    marked = {number for number, line in enumerate(text.splitlines()) if MARK in line}
    assert marked <= {one["range"]["start"]["line"] for one in errors(tmp_path, "decorators.py", mode="strict")}


def test_every_python_template_is_checked() -> None:
    python = {one.name for one in list_templates() if one.name not in {"go", "node", "php", "rust"}}
    assert python == set(PYTHON_TEMPLATES)
