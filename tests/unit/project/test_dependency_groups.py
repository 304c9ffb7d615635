"""Dependency groups of functions: where they are named, which requirements they have, and what is rejected."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.project import Project
from tests.support.project_tree import SETTINGS, build_files, locations, problems_of

GROUPS = """[project]
name = "shop"
dependencies = ["orjson"]

[dependency-groups]
aws = ["boto3>=1.40", "fnkit"]
Data_Tools = [
  "pandas",
  {include-group = "AWS"},
]
dev = ["pytest", "-e ."]

[tool.fnkit]
"""
HANDLERS = """from fnkit import cron, function

@function(groups=["aws"])
def thumbs(event, context): ...

@function
def hello(event, context): ...
"""


def groups_of(project: Project) -> dict[str, tuple[str, ...]]:
    return {one.name: one.groups for one in project.functions}


def requirements_of(project: Project) -> dict[str, tuple[str, ...]]:
    return {one.name: one.requirements for one in project.dependency_groups}


def test_function_has_the_requirements_of_its_groups(tmp_path: Path) -> None:
    project = build_files(tmp_path, {"pyproject.toml": GROUPS, "app.py": HANDLERS})
    assert groups_of(project) == {"hello": (), "thumbs": ("aws",)}
    assert requirements_of(project) == {"aws": ("boto3>=1.40",)}
    [group] = project.dependency_groups
    assert [(one.file, one.line, one.column) for one in group.requirement_sources] == [("pyproject.toml", 6, 8)]
    assert project.requirements == ("orjson",)


def test_names_are_compared_normalized_and_included_groups_count(tmp_path: Path) -> None:
    source = HANDLERS.replace('"aws"', '"data.tools", "DATA-tools"')
    project = build_files(tmp_path, {"pyproject.toml": GROUPS, "app.py": source})
    assert groups_of(project)["thumbs"] == ("data-tools",)
    assert requirements_of(project) == {"data-tools": ("pandas", "boto3>=1.40")}
    [group] = project.dependency_groups
    assert [one.line for one in group.requirement_sources] == [8, 6]


def test_groups_of_defaults_declaration_and_stage_are_combined(tmp_path: Path) -> None:
    settings = (
        GROUPS.replace("[dependency-groups]", "[dependency-groups]\nmore = []\nother = []\nown = []")
        + 'defaults.groups = ["aws"]\n'
        '[tool.fnkit.stages.prod]\ndefaults.groups = ["more"]\nfunctions.table.groups = ["other"]\n'
        '[[tool.fnkit.function]]\nname = "table"\nruntime = "python313"\nhandler = "app.hello"\ngroups = ["own"]\n'
        '[[tool.fnkit.function]]\nname = "web"\nruntime = "node24"\nhandler = "web.handle"\n'
    )
    files = {
        "pyproject.toml": settings,
        "web.js": "exports.handle = () => 1;\n",
        "app.py": HANDLERS.replace('["aws"]', '["own"]').replace("@function\n", '@function(groups=["own"])\n' * 2),
    }
    expected = {"hello": {"aws", "own"}, "table": {"aws", "own"}, "thumbs": {"aws", "own"}, "web": set()}
    project = build_files(tmp_path, files)
    assert {name: set(groups) for name, groups in groups_of(project).items()} == expected
    in_production = build_files(tmp_path, files, stage="prod")
    production = groups_of(in_production)
    assert set(production["table"]) == {"aws", "own", "more", "other"}
    assert set(production["hello"]) == {"aws", "own", "more"}
    assert production["web"] == ()
    # The lock files of all stages are the same.
    for runtime in ("python311", "python313"):
        assert in_production.locked_groups(runtime) == project.locked_groups(runtime)
    assert [group.name for group in project.locked_groups("python313")] == ["aws", "more", "other", "own"]
    assert [group.name for group in project.locked_groups("python311")] == ["aws", "more", "own"]


def test_groups_of_pyproject_are_used_beside_requirements_txt_and_fnkit_toml(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[dependency-groups]\naws = ["boto3"]\n',
        "requirements.txt": "orjson\n",
        "fnkit.toml": SETTINGS,
        "app.py": HANDLERS,
    }
    project = build_files(tmp_path, files)
    assert (project.requirements, project.requirements_file) == (("orjson",), "requirements.txt")
    assert requirements_of(project) == {"aws": ("boto3",)}


def test_group_that_no_function_uses_may_have_what_cannot_be_bundled(tmp_path: Path) -> None:
    assert problems_of(tmp_path, {"pyproject.toml": GROUPS, "app.py": HANDLERS}) == ()


@pytest.mark.parametrize(
    ("aws", "place", "words"),
    [
        ('["./lib"]', "requirement-place pyproject.toml:5", "is a path or a URL"),
        ('["x @ https://u:hunter2@host/x.whl"]', "requirement-place pyproject.toml:5", "is required from a path"),
        ('[\n  "a",\n  "requests=2",\n]', "bad-requirement pyproject.toml:7", "is not a valid requirement"),
        ('["-e ."]', "bad-requirement pyproject.toml:5", "is not a valid requirement"),
        ('"boto3"', "dependency-group pyproject.toml:5", "it is no list"),
        ("[1]", "dependency-group pyproject.toml:5", "neither a requirement nor an included group"),
        ('[{include-group = "b", x = 1}]', "dependency-group pyproject.toml:5", "neither a requirement nor"),
        ('[{include-group = "AWS"}]', "dependency-group pyproject.toml:5", "it includes itself (aws → aws)"),
        (
            '[{include-group = "b"}]\nb = [{include-group = "c"}]\nc = [{include-group = "b"}]',
            "dependency-group pyproject.toml:7",
            "it includes itself (b → c → b)",
        ),
        (
            '[{include-group = "none"}]',
            "dependency-group pyproject.toml:5",
            "there is no group 'none', which it includes",
        ),
        ('["a"]\nAWS = ["b"]', "dependency-group pyproject.toml:6", "aws is the same name"),
    ],
)
def test_wrong_group_is_a_problem_at_its_line(tmp_path: Path, aws: str, place: str, words: str) -> None:
    text = f'[project]\nname = "shop"\n\n[dependency-groups]\naws = {aws}\n[tool.fnkit]\n'
    problems = problems_of(tmp_path, {"pyproject.toml": text, "app.py": HANDLERS})
    assert locations(problems) == [place]
    assert words in problems[0].message
    assert problems[0].hint is not None
    assert "hunter2" not in str(problems)


@pytest.mark.parametrize(
    ("files", "place", "words", "hint"),
    [
        (
            {"app.py": HANDLERS.replace('"aws"', '"was"')},
            "unknown-group app.py:3",
            "thumbs: pyproject.toml has no dependency group 'was'.",
            "Did you mean aws?",
        ),
        (
            {"app.py": HANDLERS.replace('"aws"', '"zzz"')},
            "unknown-group app.py:3",
            "'zzz'",
            "Add it to [dependency-groups], or use one of its groups: aws, data-tools, dev.",
        ),
        (
            {"pyproject.toml": GROUPS + 'defaults.groups = ["awz"]\n', "app.py": ""},
            "unknown-group pyproject.toml:14",
            "defaults: pyproject.toml has no dependency group 'awz'.",
            "Did you mean aws?",
        ),
        (
            {"pyproject.toml": GROUPS + 'stages.prod.defaults.groups = ["awz"]\n', "app.py": ""},
            "unknown-group pyproject.toml:14",
            "defaults of stage prod",
            "Did you mean aws?",
        ),
        (
            {"pyproject.toml": GROUPS + 'stages.prod.functions.hello.groups = ["awz"]\n', "app.py": HANDLERS},
            "unknown-group pyproject.toml:14",
            "hello in stage prod",
            "Did you mean aws?",
        ),
        (
            {"fnkit.toml": SETTINGS, "pyproject.toml": "", "app.py": HANDLERS},
            "unknown-group app.py:3",
            "'aws'",
            'Add it: aws = ["boto3>=1.40"] in [dependency-groups].',
        ),
        (
            {"fnkit.toml": SETTINGS, "pyproject.toml": "dependency-groups = 1", "app.py": HANDLERS},
            "unknown-group app.py:3",
            "'aws'",
            "Add it",
        ),
        (
            {
                "fnkit.toml": SETTINGS
                + '[[function]]\nname = "web"\nruntime = "node24"\nhandler = "web.handle"\ngroups = ["aws"]\n',
                "web.js": "exports.handle = () => 1;\n",
            },
            "groups-language fnkit.toml:6",
            "web is not a Python function",
            "its own package manager",
        ),
        (
            {
                "pyproject.toml": GROUPS.replace("aws =", "'a w' =").replace('"AWS"', '"a"'),
                "app.py": HANDLERS.replace('"aws"', '"a w"'),
            },
            "unknown-group app.py:3",
            "'a w'",
            "A group's name has letters and digits",
        ),
        (
            {"app.py": HANDLERS.replace('["aws"]', '"aws"')},
            "bad-argument app.py:3",
            "must be a list of strings",
            "Write groups=['aws'].",
        ),
    ],
)
def test_wrong_name_is_a_problem_where_it_is_written(
    tmp_path: Path, files: dict[str, str], place: str, words: str, hint: str
) -> None:
    problems = problems_of(tmp_path, {**({} if "fnkit.toml" in files else {"pyproject.toml": GROUPS}), **files})
    assert locations(problems) == [place]
    assert words in problems[0].message
    assert hint in str(problems[0].hint)


def test_deep_and_repeated_inclusion_is_read_once(tmp_path: Path) -> None:
    depth = 1200
    lines = [f'g{n} = [{{include-group = "g{n + 1}"}}, {{include-group = "g{n + 1}"}}]' for n in range(depth)]
    text = GROUPS.replace(
        "[dependency-groups]\n", "[dependency-groups]\n" + "\n".join(lines) + f'\ng{depth} = ["x"]\n'
    )
    source = HANDLERS.replace('"aws"', '"g0"')
    assert requirements_of(build_files(tmp_path, {"pyproject.toml": text, "app.py": source})) == {"g0": ("x",)}
