"""Modules that must be executed are imported in a child process, isolated from their side effects."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.authoring.declarations import CronDeclaration, FunctionDeclaration
from fnkit.scanner import scan
from tests.support.project_tree import locations, scan_files, write_files

pytestmark = pytest.mark.slow

COMPUTED = """import os
from fnkit import cron, function
@cron("0 * * * *", args={"n": 1})
@function(memory=int("256"), secrets={"B", "A"})
def hello(event, context):
    '''Say hello.'''
"""


def test_importing_resolves_computed_arguments(tmp_path: Path) -> None:
    report = scan_files(tmp_path, {"h/app.py": COMPUTED}, import_modules=True)
    assert report.problems == ()
    (function,) = report.functions
    assert function.handler == "h/app.hello"
    assert function.summary == "Say hello."
    assert [mark.declaration for mark in function.declarations] == [
        CronDeclaration(schedule="0 * * * *", args={"n": 1}),
        FunctionDeclaration(memory=256, secrets=("A", "B")),
    ]


def test_importing_finds_functions_defined_in_loops_and_branches(tmp_path: Path) -> None:
    source = """from fnkit import function
def make(text):
    def handler(event, context):
        return text
    return handler
for name in ("a", "b"):
    globals()[name] = function(name=f"say-{name}")(make(name))
if True:
    @function
    def c(event, context): ...
"""
    report = scan_files(tmp_path, {"app.py": source}, import_modules=True)
    assert report.problems == ()
    assert sorted(function.handler for function in report.functions) == ["app.a", "app.b", "app.c"]


def test_imported_handler_belongs_to_its_defining_module(tmp_path: Path) -> None:
    files = {"lib.py": COMPUTED, "app.py": "from lib import hello\n" + COMPUTED.replace("hello", "other")}
    report = scan_files(tmp_path, files, import_modules=True)
    assert sorted(function.handler for function in report.functions) == ["app.other", "lib.hello"]


def test_statically_readable_module_is_not_executed(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"
    source = f"from fnkit import function\nopen({str(marker)!r}, 'w')\n@function\ndef hello(event, context): ...\n"
    assert len(scan_files(tmp_path, {"app.py": source}, import_modules=True).functions) == 1
    assert not marker.exists()


@pytest.mark.parametrize(
    ("last", "problem"),
    [
        ("raise ValueError('failed')", "import-failed app.py:7"),
        ("import sys; sys.exit(0)", "import-failed app.py:7"),
        ("os._exit(0)", "import-failed app.py:1"),
        ("os.abort()", "import-failed app.py:1"),
        ("os.kill(os.getpid(), 9)", "import-failed app.py:1"),
        ("raise KeyboardInterrupt", "import-failed app.py:7"),
        ("import missing_module", "import-failed app.py:7"),
        ("hello = function(memory='much')(hello)", "bad-argument app.py:3"),
        ("cron('* * * * *', args={'x': {1, 2}})(hello)", "bad-argument app.py:3"),
        ("cron('* * * * *', args={'x': float('nan')})(hello)", "bad-argument app.py:3"),
    ],
)
def test_failing_module_is_a_problem_with_its_line(tmp_path: Path, last: str, problem: str) -> None:
    report = scan_files(tmp_path, {"app.py": COMPUTED + last + "\n"}, import_modules=True)
    assert locations(report.problems) == [problem]


def test_import_error_replaces_environment_values_by_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://user:hunter2@host/db")
    source = COMPUTED + "raise ValueError('bad dsn ' + os.environ['DATABASE_URL'])\n"
    (problem,) = scan_files(tmp_path, {"app.py": source}, import_modules=True).problems
    assert "hunter2" not in str(problem)
    assert problem.message.endswith("ValueError: bad dsn <DATABASE_URL>")


@pytest.mark.parametrize(
    "first",
    [
        "print('x' * 100000)",
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "os.close(1); os.close(2)",
        "import threading; threading.Thread(target=lambda: threading.Event().wait()).start()",
        "import atexit; atexit.register(lambda: 1 / 0)",
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])",
        "os.chdir('/')",
        "import sys; sys.path.clear()",
        "import json; json.dumps = None",
    ],
)
def test_module_side_effects_do_not_affect_the_scan(tmp_path: Path, first: str) -> None:
    source = COMPUTED.replace("import os\n", f"import os\n{first}\n")
    report = scan_files(tmp_path, {"app.py": source}, import_modules=True)
    assert report.problems == ()
    assert len(report.functions) == 1


def test_import_that_does_not_finish_is_killed_after_the_timeout(tmp_path: Path) -> None:
    write_files(
        tmp_path, {"app.py": COMPUTED + "import signal\nsignal.signal(15, lambda *_: None)\nwhile True: pass\n"}
    )
    report = scan(tmp_path, [tmp_path / "app.py"], import_modules=True, import_timeout=0.5)
    assert locations(report.problems) == ["import-timeout app.py:1"]


def test_importing_writes_no_bytecode_into_the_project(tmp_path: Path) -> None:
    scan_files(tmp_path, {"app.py": "import lib\n" + COMPUTED, "lib.py": ""}, import_modules=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["app.py", "lib.py"]
