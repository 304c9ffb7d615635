"""A problem of source code stands at the very argument, decorator or name that is at fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.errors import Problem
from tests.support.project_tree import SETTINGS, problems_of

IMPORT = "from fnkit import cron, function, trigger\n"
HANDLER = "def hello(event, context): ...\n"


def marked(source: str | bytes, problem: Problem) -> tuple[str, str]:
    """Return the code of a problem and the text that it marks."""
    text = source.decode("utf-8-sig") if isinstance(source, bytes) else source
    assert problem.line is not None
    assert problem.column is not None, problem
    line = text.splitlines()[problem.line - 1]
    return problem.code, line[problem.column - 1 : None if problem.end_column is None else problem.end_column - 1]


@pytest.mark.parametrize(
    ("source", "code", "text"),
    [
        (f"@function(memory=300)\n{HANDLER}", "bad-memory", "300"),
        (f"@function(memory='1')\n{HANDLER}", "bad-argument", "'1'"),
        (f"@function(memroy=128)\n{HANDLER}", "unknown-argument", "memroy=128"),
        (f"@function(128)\n{HANDLER}", "positional-argument", "128"),
        (f"@function(\n    timeout = '2h',\n)\n{HANDLER}", "bad-timeout", "'2h'"),
        (f"@function(privacy='no')\n{HANDLER}", "bad-choice", "'no'"),
        (f"@function(runtime='python27')\n{HANDLER}", "unknown-runtime", "'python27'"),
        (f"@function(min_scale=6, max_scale=5)\n{HANDLER}", "bad-scale", "6"),
        (f"@function(secrets=['A-B'])\n{HANDLER}", "variable-name", "['A-B']"),
        (f"@function(tags=['a b'])\n{HANDLER}", "bad-tag", "['a b']"),
        (f"@function(domains=['localhost'])\n{HANDLER}", "bad-domain", "['localhost']"),
        (f"@function(name='Ä')\n{HANDLER}", "bad-name", "'Ä'"),
        (f"@function(description='größe', memory=3)\n{HANDLER}", "bad-memory", "3"),
        (f"@function(memory=X)\n{HANDLER}", "computed-argument", "X"),
        (f"@cron('61 * * * *')\n{HANDLER}", "bad-schedule", "'61 * * * *'"),
        (f"@cron(schedule='x')\n{HANDLER}", "bad-schedule", "'x'"),
        (f"@cron()\n{HANDLER}", "bad-argument", "cron()"),
        (f"@trigger(nats='a b')\n{HANDLER}", "bad-trigger", "'a b'"),
        (f"@trigger(sqs='q', region='x')\n{HANDLER}", "bad-region", "'x'"),
        (f"@trigger()\n{HANDLER}", "bad-trigger", "trigger()"),
        (f"small = function(memory=3)\n@small\n{HANDLER}", "bad-memory", "3"),
        ("@function\nasync  def  hello(a): ...\n", "handler-signature", "hello"),
        ("@function\ndef _hidden(event, context): ...\n", "bad-name", "_hidden"),
        ("@function\ndef größe(a): ...\n", "bad-name", "größe"),
        ("class A:\n    @function\n    def hello(event, context): ...\n", "handler-nested", "hello"),
        (f"if X:\n    @function\n    {HANDLER}", "handler-conditional", "hello"),
        ("x = function(print)\ny = [function]\n", "decorator-called", "function"),
        (f"from . import other\n@function\n{HANDLER}", "relative-import", "from . import other"),
        (f"from fnkit.cli import main\n@function\n{HANDLER}", "fnkit-not-bundled", "from fnkit.cli import main"),
        (f"@function\n{HANDLER}def broken(:\n", "syntax-error", ":"),
    ],
)
def test_problem_marks_what_is_at_fault(tmp_path: Path, source: str, code: str, text: str) -> None:
    problems = problems_of(tmp_path, {"a.py": IMPORT + source})
    assert (code, text) in [marked(IMPORT + source, one) for one in problems]


def test_decorator_that_is_not_imported_is_marked(tmp_path: Path) -> None:
    source = f"import fnkit\n@fnkit.function\n@cron('* * * * *')\n{HANDLER}"
    (problem,) = problems_of(tmp_path, {"a.py": source})
    assert marked(source, problem) == ("decorator-not-imported", "cron")


@pytest.mark.parametrize("argument", ["env={'A': 5}", "env={'PORT': '1'}", "env=secret()", "env={'1A': 'x'}"])
def test_variables_have_no_column_so_that_no_value_is_shown(tmp_path: Path, argument: str) -> None:
    (problem,) = problems_of(tmp_path, {"a.py": f"{IMPORT}@function({argument})\n{HANDLER}"})
    assert (problem.line, problem.column) == (2, None)


@pytest.mark.parametrize(
    ("settings", "code", "text"),
    [
        ("region = 'x'", "bad-region", "region = 'x'"),
        ("regoin = 'fr-par' # comment", "unknown-setting", "regoin = 'fr-par'"),
        ("[defaults]\nmemory = 300", "bad-memory", "memory = 300"),
        ("[defaults]\nmemory = 'x'", "setting-type", "memory = 'x'"),
        ("[stages.'Prod!']", "bad-stage", "[stages.'Prod!']"),
        ("[[function]]\nname = 'x'", "setting-missing", "[[function]]"),
        ("[[function]]\nname = 'x'\nruntime = 'node42'", "unknown-runtime", "runtime = 'node42'"),
        ("tags = [\n  'a b',\n]", "unknown-setting", "tags = ["),
        ("x = = 3", "toml-syntax", "="),
    ],
)
def test_setting_is_marked_with_its_value(tmp_path: Path, settings: str, code: str, text: str) -> None:
    document = SETTINGS + settings
    problems = problems_of(tmp_path, {"fnkit.toml": document})
    assert (code, text) in [marked(document, one) for one in problems if one.file == "fnkit.toml"]


def test_variables_in_settings_have_no_column(tmp_path: Path) -> None:
    (problem,) = problems_of(tmp_path, {"fnkit.toml": SETTINGS + "[defaults.env]\nA = 5\n"})
    assert (problem.code, problem.line, problem.column) == ("setting-type", 3, None)


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_byte_order_mark_and_line_ends_do_not_move_the_place(tmp_path: Path, line_end: str) -> None:
    source = ("\ufefffrom fnkit import function\n@function(memory=3)\n" + HANDLER).replace("\n", line_end)
    (tmp_path / "a.py").write_bytes(source.encode())
    (problem,) = problems_of(tmp_path, {})
    assert marked(source.encode(), problem) == ("bad-memory", "3")


def test_source_that_is_not_utf8_has_lines_but_no_columns(tmp_path: Path) -> None:
    source = (
        f"# -*- coding: latin-1 -*-\nfrom fnkit import function\n@function(description='ä', memory=3)\n{HANDLER}"
    )
    (tmp_path / "a.py").write_bytes(source.encode("latin-1"))
    (problem,) = problems_of(tmp_path, {})
    assert (problem.code, problem.line, problem.column) == ("bad-memory", 3, None)
