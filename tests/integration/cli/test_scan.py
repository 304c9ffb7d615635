"""``fnkit scan``: what a project declares, and all that is wrong with it."""

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
def small(event, context): ...

@cron("61 * * * *")
def late(event, context): ...

@trigger()
def deaf(event, context): ...

@trigger(nats="a", sqs="b")
def torn(event, context): ...
"""


def _make(project: Path, code: str) -> None:
    (project / "fnkit.toml").write_text('name = "shop"\n')
    (project / "handlers.py").write_text(code)


def test_a_valid_project_as_json(fnkit: Command, project: Path, golden: Golden) -> None:
    _make(project, VALID)
    done = fnkit("scan", "--json").ok()
    assert done.stderr == ""
    golden.check("cli/scan/valid.json", normalise(done.stdout, {str(project): "project"}))


def test_a_valid_project_as_text(fnkit: Command, project: Path, golden: Golden) -> None:
    _make(project, VALID)
    golden.check("cli/scan/valid.txt", normalise(fnkit("scan").ok().stdout, {str(project): "project"}))


def test_an_invalid_project_shows_functions_and_problems_and_fails(
    fnkit: Command, project: Path, golden: Golden
) -> None:
    _make(project, INVALID)
    done = fnkit("scan", "--json")
    assert done.code == 2
    golden.check("cli/scan/invalid.json", normalise(done.stdout, {str(project): "project"}))
    text = fnkit("scan")
    assert text.code == 2
    golden.check("cli/scan/invalid.txt", normalise(text.stdout, {str(project): "project"}))


def test_it_finds_the_project_from_a_folder_inside_and_by_option(fnkit: Command, project: Path) -> None:
    _make(project, VALID)
    inner = project / "docs"
    inner.mkdir()
    expected = fnkit("scan", "--json").ok().stdout
    assert fnkit("scan", "--json", cwd=inner).ok().stdout == expected
    assert fnkit("scan", "--json", "-C", str(project), cwd=project.parent).ok().stdout == expected
