"""Dependencies of Python functions, from requirements.txt or pyproject.toml."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.project_tree import SETTINGS, build_files, locations, problems_of

PYPROJECT = '[project]\nname = "shop"\ndependencies = [\n  "requests>=2.32",\n  "fnkit",\n]\n[tool.fnkit]\n'


def test_requirements_are_read_from_requirements_txt(tmp_path: Path) -> None:
    text = """# dependencies
requests >= 2.32   # http
  FnKit[testing] ; python_version > "3.8"
FnKit_Deploy
tomli; python_version < "3.11"
pydantic==2.12.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
requests>=2.32

-r more/extra.txt
"""
    project = build_files(
        tmp_path, {"requirements.txt": text, "more/extra.txt": "-r ../requirements.txt\norjson\n"}
    )
    assert project.requirements == (
        "requests>=2.32",
        'tomli; python_version < "3.11"',
        "pydantic==2.12.0",
        "orjson",
    )
    assert project.requirements_file == "requirements.txt"
    assert [f"{one.file}:{one.line}" for one in project.requirement_sources] == [
        "requirements.txt:2",
        "requirements.txt:5",
        "requirements.txt:6",
        "more/extra.txt:2",
    ]


def test_each_requirement_in_pyproject_has_its_line(tmp_path: Path) -> None:
    text = """[project]
name = "shop"
dependencies = [
  "a>=1",

  'b',
]
[tool.fnkit]
"""
    project = build_files(tmp_path, {"pyproject.toml": text})
    assert [(one.file, one.line) for one in project.requirement_sources] == [
        ("pyproject.toml", 4),
        ("pyproject.toml", 6),
    ]


def test_requirements_are_read_from_pyproject_as_fallback(tmp_path: Path) -> None:
    project = build_files(tmp_path, {"pyproject.toml": PYPROJECT})
    assert (project.requirements, project.requirements_file) == (("requests>=2.32",), "pyproject.toml")


def test_requirements_txt_takes_precedence_over_pyproject(tmp_path: Path) -> None:
    project = build_files(tmp_path, {"pyproject.toml": PYPROJECT, "requirements.txt": "orjson\n"})
    assert (project.requirements, project.requirements_file) == (("orjson",), "requirements.txt")


def test_project_without_dependencies_has_no_requirements_file(tmp_path: Path) -> None:
    project = build_files(tmp_path, {"pyproject.toml": '[project]\nname = "shop"\n[tool.fnkit]\n'})
    assert (project.requirements, project.requirements_file) == ((), None)


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("-c constraints.txt", "requirement-option"),
        ("-e .", "requirement-option"),
        ("--editable=../lib", "requirement-option"),
        ("--index-url https://user:hunter2@host/simple", "requirement-option"),
        ("--extra-index-url=https://user:hunter2@host/simple", "requirement-option"),
        ("--no-binary :all:", "requirement-option"),
        ("--pre", "requirement-option"),
        ("--unknown", "requirement-option"),
        ("./lib", "requirement-place"),
        ("../lib", "requirement-place"),
        ("/srv/lib", "requirement-place"),
        ("lib.whl", "requirement-place"),
        ("https://user:hunter2@host/x.whl", "requirement-place"),
        ("git+ssh://git@host/x.git", "requirement-place"),
        ("x @ https://user:hunter2@host/x.whl", "requirement-place"),
        ("x y https://user:hunter2@host", "requirement-place"),
        ("requests=2", "bad-requirement"),
        ("${NAME}", "bad-requirement"),
        ("-r missing.txt", "bad-requirement"),
    ],
)
def test_unsupported_requirement_is_reported_without_passwords(tmp_path: Path, line: str, code: str) -> None:
    problems = problems_of(tmp_path, {"requirements.txt": f"orjson\n{line}\n"})
    assert locations(problems) == [f"{code} requirements.txt:2"]
    assert "hunter2" not in str(problems)


def test_problem_in_an_included_file_is_reported_there(tmp_path: Path) -> None:
    files = {"requirements.txt": "-r sub/more.txt\n", "sub/more.txt": "ok\n-e .\n"}
    assert locations(problems_of(tmp_path, files)) == ["requirement-option sub/more.txt:2"]


@pytest.mark.parametrize("include", ["-r ../secret.txt", "-r /etc/passwd", "-r link.txt", "-r pipe"])
def test_include_outside_the_project_is_not_read_or_quoted(tmp_path: Path, include: str) -> None:
    (tmp_path / "secret.txt").write_text("machine example.com password hunter2\n")
    root = tmp_path / "project"
    root.mkdir()
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    os.mkfifo(root / "pipe")
    problems = problems_of(root, {"requirements.txt": f"ok\n{include}\n"})
    assert locations(problems) == ["bad-requirement requirements.txt:2"]
    assert "hunter2" not in str(problems)


def test_requirements_file_that_is_a_link_out_of_the_project_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("machine example.com password hunter2\n")
    root = tmp_path / "project"
    root.mkdir()
    (root / "requirements.txt").symlink_to(tmp_path / "secret.txt")
    problems = problems_of(root, {})
    assert locations(problems) == ["bad-requirement requirements.txt:1"]
    assert "hunter2" not in str(problems)


@pytest.mark.parametrize(
    ("project", "place"),
    [
        ('dynamic = ["dependencies"]', "bad-requirement pyproject.toml:3"),
        ("dependencies = 1", "bad-requirement pyproject.toml:3"),
        ('dependencies = ["=="]', "bad-requirement pyproject.toml:3"),
    ],
)
def test_dependencies_in_pyproject_must_be_static_and_valid(tmp_path: Path, project: str, place: str) -> None:
    text = f'[project]\nname = "shop"\n{project}\n[tool.fnkit]\n'
    assert locations(problems_of(tmp_path, {"pyproject.toml": text})) == [place]


def test_source_builds_setting_is_normalised(tmp_path: Path) -> None:
    project = build_files(tmp_path, {"fnkit.toml": SETTINGS + 'source_builds = ["DocOpt", "odf_py"]'})
    assert project.source_builds == ("docopt", "odf-py")


@pytest.mark.parametrize("name", [":all:", "--index-url", "a b", "", "\\u001b[2J"])
def test_source_builds_setting_lists_names_of_packages(tmp_path: Path, name: str) -> None:
    settings = {"fnkit.toml": SETTINGS + f'source_builds = ["fine", "{name}"]'}
    [problem] = problems_of(tmp_path, settings)
    assert (problem.code, problem.file) == ("bad-package-name", "fnkit.toml")
    assert problem.message.isprintable()
