"""Calls of ``url_of`` are read without executing the module, under every name that they can have."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit import FunctionUrl
from fnkit.authoring.declarations import FunctionDeclaration
from fnkit.scanner import ScanReport, scan
from tests.support.project_tree import scan_files, write_files

HANDLER = "def orders(event, context): ...\n"


def env_of(report: ScanReport) -> object:
    assert report.problems == ()
    (function,) = report.functions
    (mark,) = function.declarations
    assert isinstance(mark.declaration, FunctionDeclaration)
    return mark.declaration.env


@pytest.mark.parametrize(
    "source",
    [
        'from fnkit import function, url_of\n@function(env={"URL": url_of("health")})\n',
        'from fnkit import function, url_of as u\n@function(env={"URL": u("health")})\n',
        'import fnkit\n@fnkit.function(env={"URL": fnkit.url_of("health")})\n',
        'import fnkit as fk\n@fk.function(env={"URL": fk.url_of("health")})\n',
        'import fnkit.authoring\n@fnkit.function(env={"URL": fnkit.authoring.url_of("health")})\n',
        'from fnkit import authoring as a\n@a.function(env={"URL": a.url_of("health")})\n',
        'from fnkit.authoring import function, url_of\n@function(env={"URL": url_of("health")})\n',
        (
            "import fnkit\nfrom fnkit.authoring.function_url import url_of as u\n"
            '@fnkit.function(env={"URL": u("health")})\n'
        ),
        'from fnkit import *\n@function(env={"URL": url_of("health")})\n',
        'import fnkit\nu = fnkit.url_of\n@fnkit.function(env={"URL": u("health")})\n',
        'from fnkit import function, url_of\n@function(env={"URL": url_of(name="health")})\n',
        'from fnkit import function, url_of\nN = "heal"\n@function(env={"URL": url_of(f"{N}th")})\n',
        'from fnkit import function, url_of\nURL = url_of("health")\n@function(env={"URL": URL})\n',
        'from fnkit import function, url_of\nENV = {"URL": url_of("health")}\n@function(env={**ENV})\n',
        'from fnkit import function, url_of\nENV = {"URL": url_of("health")}\nsmall = function(env=ENV)\n@small\n',
        'from fnkit import function, url_of\n@function(env={"URL": url_of("health" if 1 < 2 else "x")})\n',
    ],
    ids=lambda source: source.replace("\n", " | "),
)
def test_url_of_is_recognised_under_any_imported_name(tmp_path: Path, source: str) -> None:
    assert env_of(scan_files(tmp_path, {"app.py": source + HANDLER})) == {"URL": FunctionUrl("health")}


FUNCTION = "from fnkit import function\n"
BOTH = "from fnkit import function, url_of\n"


@pytest.mark.parametrize(
    ("source", "code", "line", "message", "hint"),
    [
        (BOTH + '@function(env={"U": url_of()})\n', "bad-url-of", 2, "exactly one argument", "url_of("),
        (BOTH + '@function(env={"U": url_of("a", "b")})\n', "bad-url-of", 2, "exactly one argument", "url_of("),
        (BOTH + '@function(env={"U": url_of("a", name="b")})\n', "bad-url-of", 2, "one argument", "url_of("),
        (BOTH + '@function(env={"U": url_of(function="a")})\n', "bad-url-of", 2, "one argument", "url_of("),
        (BOTH + '@function(env={"U": url_of(*["a"])})\n', "bad-url-of", 2, "one argument", "url_of("),
        (BOTH + '@function(env={"U": url_of(**{"name": "a"})})\n', "bad-url-of", 2, "one argument", "url_of("),
        (BOTH + '@function(env={\n"U": url_of(3)})\n', "bad-url-of", 3, "a string, not int", "url_of("),
        (BOTH + '@function(env={"U": url_of(None)})\n', "bad-url-of", 2, "not NoneType", "url_of("),
        (BOTH + '@function(env={"U": url_of(name())})\n', "computed-argument", 2, "a call of name()", "--import"),
        (BOTH + '@function(env={"U": url_of("a") + "x"})\n', "computed-argument", 2, "that fails", "--import"),
        (BOTH + '@function(env={"U": f"{url_of(\'a\')}x"})\n', "computed-argument", 2, "that fails", "--import"),
        (BOTH + '@function(env={"U": url_of})\n', "computed-argument", 2, "an imported name", "--import"),
        (BOTH + '@function(description=url_of("a"))\n', "bad-argument", 2, "must be a string", None),
        (BOTH + '@function(env={url_of("a"): "x"})\n', "bad-argument", 2, "env must be a dictionary", "string"),
        (BOTH + '@function(env={"U": {"url_of": "a"}})\n', "bad-argument", 2, "env must be", 'as url_of("…")'),
        (
            FUNCTION + '@function(env={"U": url_of("a")})\n',
            "url-of-not-imported",
            2,
            "url_of is not defined",
            "from",
        ),
        (
            FUNCTION + '@function(env={"U": fnkit.url_of("a")})\n',
            "url-of-not-imported",
            2,
            "fnkit is",
            "import fnkit",
        ),
        (
            FUNCTION
            + '@function(env={"U": url_of("a")})\ndef other(event, context): ...\nfrom fnkit import url_of\n',
            *("url-of-not-imported", 2, "not defined at this point", "from fnkit import url_of"),
        ),
        (
            FUNCTION + 'from lib import url_of\n@function(env={"U": url_of("a")})\n',
            *("computed-argument", 3, "a call of url_of()", "--import"),
        ),
    ],
    ids=lambda value: value.replace("\n", " | ") if isinstance(value, str) else None,
)
def test_other_calls_are_problems_with_place_and_hint(
    tmp_path: Path, source: str, code: str, line: int, message: str, hint: str | None
) -> None:
    (problem,) = scan_files(tmp_path, {"app.py": source + HANDLER}).problems[:1]
    assert (problem.code, problem.file, problem.line) == (code, "app.py", line)
    assert message in problem.message
    assert hint in problem.hint if hint is not None and problem.hint is not None else problem.hint is hint


def test_an_import_resolves_a_computed_name(tmp_path: Path) -> None:
    source = BOTH + 'name = "HEALTH".lower\n@function(env={"URL": url_of(name()), "LEVEL": "x"})\n' + HANDLER
    root = write_files(tmp_path, {"app.py": source})
    report = scan(root, [root / "app.py"], import_modules=True)
    assert env_of(report) == {"URL": FunctionUrl("health"), "LEVEL": "x"}


def test_an_import_does_not_take_a_dictionary_for_a_url(tmp_path: Path) -> None:
    source = BOTH + 'value = dict\n@function(env={"URL": value(url_of="health")})\n' + HANDLER
    root = write_files(tmp_path, {"app.py": source})
    (problem,) = scan(root, [root / "app.py"], import_modules=True).problems
    assert problem.code == "bad-argument"
    assert problem.hint == "Write the value of 'URL' as url_of(\"…\"), imported from fnkit."
