"""``fnkit scan`` lists a project's declarations and all of its problems."""

from __future__ import annotations

from pathlib import Path

from tests.support.command import Command
from tests.support.golden import Golden
from tests.support.normalisation import normalise

VALID = """
from fnkit import cron, function, trigger

@cron("*/5 * * * *", args={"full": False})
@function(memory=512, timeout="45s", runtime="python311", env={"LEVEL": "info"}, secrets=["KEY"])
def clean_up(event, context): ...

@trigger(nats="orders.created")
@function(runtime="python311")
def on_order(event, context): ...
"""

INVALID = """
from fnkit import cron, function, trigger

@function(memory=3)
def bad_memory(event, context): ...

@cron("61 * * * *")
def bad_schedule(event, context): ...

@trigger()
def no_source(event, context): ...

@trigger(nats="a", sqs="b")
def two_sources(event, context): ...
"""


def _write_project(project: Path, code: str) -> None:
    (project / "fnkit.toml").write_text('name = "shop"\n')
    (project / "handlers.py").write_text(code)


def test_valid_project_json_output(fnkit: Command, project: Path, golden: Golden) -> None:
    _write_project(project, VALID)
    result = fnkit("scan", "--json").ok()
    assert result.stderr == ""
    golden.check("cli/scan/valid.json", normalise(result.stdout, {str(project): "project"}))


def test_valid_project_text_output(fnkit: Command, project: Path, golden: Golden) -> None:
    _write_project(project, VALID)
    golden.check("cli/scan/valid.txt", normalise(fnkit("scan").ok().stdout, {str(project): "project"}))


def test_invalid_project_lists_functions_and_problems_with_exit_code_2(
    fnkit: Command, project: Path, golden: Golden
) -> None:
    _write_project(project, INVALID)
    result = fnkit("scan", "--json")
    assert result.code == 2
    golden.check("cli/scan/invalid.json", normalise(result.stdout, {str(project): "project"}))
    text = fnkit("scan")
    assert text.code == 2
    golden.check("cli/scan/invalid.txt", normalise(text.stdout, {str(project): "project"}))


def test_project_is_found_from_subdirectory_and_by_option(fnkit: Command, project: Path) -> None:
    _write_project(project, VALID)
    subdirectory = project / "docs"
    subdirectory.mkdir()
    expected = fnkit("scan", "--json").ok().stdout
    assert fnkit("scan", "--json", cwd=subdirectory).ok().stdout == expected
    assert fnkit("scan", "--json", "-C", str(project), cwd=project.parent).ok().stdout == expected
