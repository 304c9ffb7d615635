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


def test_schedule_that_never_runs_is_noted(fnkit: Command, project: Path) -> None:
    _write_project(project, VALID.replace("*/5 * * * *", "0 0 31 2 *"))
    note = "clean-up: cron-1 never runs, because no year has a day for '0 0 31 2 *' (handlers.py:4)."
    assert fnkit("scan", "--json").ok().json()["notes"] == [note]


def test_import_that_nothing_provides_is_a_problem(fnkit: Command, project: Path) -> None:
    _write_project(project, "import json\nimport httpx\nimport yaml\n" + VALID)
    result = fnkit("scan", "--json")
    assert result.code == 2
    assert [(one["code"], one["file"], one["line"]) for one in result.json()["problems"]] == [
        ("missing-requirement", "handlers.py", 2),
        ("missing-requirement", "handlers.py", 3),
    ]


def test_import_is_not_a_problem_while_the_requirements_are_unknown(fnkit: Command, project: Path) -> None:
    _write_project(project, "import yaml\n" + VALID)
    (project / "requirements.txt").write_text("pyyaml\n")
    document = fnkit("scan", "--json").ok().json()
    assert document["problems"] == []
    (note,) = document["notes"]
    assert note.startswith("The imports in handlers.py:1 were not checked")


def test_decorator_without_its_import_is_a_problem_with_its_place(fnkit: Command, project: Path) -> None:
    _write_project(project, 'from fnkit import function\n\n@cron("61 * * * *")\ndef tick(event, context): ...\n')
    result = fnkit("scan")
    assert result.code == 2
    assert (
        "\n\nproblem[decorator-not-imported]: @cron on tick: cron is not defined at this point.\n"
        "  --> handlers.py:3:2\n"
        "   |\n"
        ' 3 | @cron("61 * * * *")\n'
        "   |  ^^^^\n"
        "  hint: Add `from fnkit import cron` at the top of handlers.py.\n"
        "\n"
        "problem[bad-schedule]: tick: '61' is out of range"
    ) in result.stdout
