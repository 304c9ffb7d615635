"""Scanning files: valid handler paths, syntax errors, and what handlers import."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.scanner import scan
from tests.support.project_tree import HANDLER, locations, scan_files, write_files


def test_handler_in_a_folder_is_named_by_its_path(tmp_path: Path) -> None:
    report = scan_files(tmp_path, {"handlers/http/hello.py": HANDLER, "main.py": HANDLER})
    assert [function.handler for function in report.functions] == ["handlers/http/hello.hello", "main.hello"]
    assert [function.file for function in report.functions] == ["handlers/http/hello.py", "main.py"]


def test_paths_may_be_relative_to_the_root(tmp_path: Path) -> None:
    write_files(tmp_path, {"a/b.py": HANDLER, "notes.txt": "fnkit"})
    report = scan(tmp_path, [Path("a/b.py"), Path("notes.txt")])
    assert [function.handler for function in report.functions] == ["a/b.hello"]


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"v1.2/app.py": HANDLER}, "handler-path v1.2/app.py:1"),
        ({"app.test.py": HANDLER}, "handler-path app.test.py:1"),
        ({"handlers/json.py": HANDLER}, "handler-shadowed handlers/json.py:1"),
        ({"orders/orders.py": HANDLER, "orders/__init__.py": ""}, "handler-shadowed orders/orders.py:1"),
        ({"a/tools.py": HANDLER, "tools.py": ""}, "handler-shadowed a/tools.py:1"),
        ({"a/b.py": HANDLER + "from . import c\n"}, "relative-import a/b.py:4"),
        ({"a.py": HANDLER + "def f():\n    from .c import d\n"}, "relative-import a.py:5"),
        ({"a.py": "from fnkit import function\ndef broken(:\n"}, "syntax-error a.py:2"),
        ({"a.py": "  import fnkit\n\0"}, "syntax-error a.py:1"),
        ({"a.py": "import fnkit\nx = " + "(" * 3000}, "syntax-error a.py:2"),
    ],
)
def test_file_that_cannot_contain_handlers_is_reported(tmp_path: Path, files: dict[str, str], problem: str) -> None:
    found = locations(scan_files(tmp_path, files).problems)
    assert [place.split(":")[0] for place in found] == [problem.split(":", maxsplit=1)[0]]


@pytest.mark.parametrize(
    "files",
    [
        {"orders/orders.py": HANDLER, "orders/other.py": ""},
        {"a/tools.py": HANDLER, "b/tools.py": HANDLER},
        {"a.py": HANDLER + "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .b import c\n"},
        {"json.py": "VALUE = 1  # fnkit\n"},
        {"notes.py": "this is not Python, and mentions fnkit\n"},
    ],
    ids=" ".join,
)
def test_valid_file_has_no_problems(tmp_path: Path, files: dict[str, str]) -> None:
    assert scan_files(tmp_path, files).problems == ()


@pytest.mark.parametrize(
    "files",
    [
        {"app.py": HANDLER + "from fnkit.testing import platform\n"},
        {"app.py": HANDLER + "from fnkit import testing\n"},
        {"app.py": HANDLER + "def f():\n    import fnkit.client\n"},
        {"app.py": HANDLER + "import shared\n", "shared.py": "import deeper\n", "deeper.py": "import fnkit.plan\n"},
        {"app.py": HANDLER + "from lib import x\n", "lib/__init__.py": "", "lib/x.py": "import fnkit.plan\n"},
        {"h/app.py": HANDLER + "import near\n", "h/near.py": "import fnkit.plan\n"},
    ],
    ids=["from", "submodule", "in a function", "via two modules", "package", "sibling of the handler"],
)
def test_handler_that_imports_unbundled_fnkit_modules_is_reported(tmp_path: Path, files: dict[str, str]) -> None:
    assert [one.code for one in scan_files(tmp_path, files).problems] == ["fnkit-not-bundled"]


@pytest.mark.parametrize(
    "files",
    [
        {"app.py": HANDLER + "from fnkit.errors import FnkitError\nfrom fnkit.authoring.types import Event\n"},
        {"app.py": HANDLER + "from fnkit import Context, Event, Response\n"},
        {"app.py": HANDLER, "tests/test_app.py": "import app\nfrom fnkit.testing import platform\n"},
        {"app.py": HANDLER + "import typing\nif typing.TYPE_CHECKING:\n    from fnkit.client import Client\n"},
    ],
    ids=["errors", "types", "test module", "TYPE_CHECKING"],
)
def test_bundled_and_unreachable_imports_of_fnkit_are_allowed(tmp_path: Path, files: dict[str, str]) -> None:
    assert scan_files(tmp_path, files).problems == ()


def test_unreadable_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "broken.py").symlink_to(tmp_path / "missing")
    assert locations(scan(tmp_path, [tmp_path / "broken.py"]).problems) == ["file-unreadable broken.py:None"]


def test_syntax_error_has_its_place_and_no_file_in_its_message(tmp_path: Path) -> None:
    report = scan_files(tmp_path, {"a.py": "from fnkit import function\n\n   def broken(:\n"})
    (problem,) = report.problems
    assert problem.line == 3
    assert (problem.file, problem.column, problem.message) == ("a.py", 3, "Syntax error: unexpected indent.")


def test_declared_encoding_is_used(tmp_path: Path) -> None:
    source = "# -*- coding: latin-1 -*-\nfrom fnkit import function\n@function(description='café')\n"
    (tmp_path / "a.py").write_bytes((source + "def hello(event, context): ...\n").encode("latin-1"))
    (function,) = scan(tmp_path, [tmp_path / "a.py"]).functions
    assert getattr(function.declarations[0].declaration, "description", None) == "café"
