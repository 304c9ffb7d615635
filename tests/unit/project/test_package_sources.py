"""``[tool.uv.sources]``: a package that is taken from no index is reported at its line, never replaced silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.project.package_sources import IndexSource, find_workspace, read_package_sources
from tests.support.project_tree import HANDLER, build_files, locations, problems_of, write_files
from tests.support.repositories import write_repository

FILES = {"libs/money/src/money/__init__.py": "", "libs/money/pyproject.toml": '[project]\nname = "money"\n'}
WORKSPACE = '[tool.uv.workspace]\nmembers = ["libs/*", "services/*"]\n'
PYPROJECT = (
    '[project]\ndependencies = [\n  "requests",\n  "Money>=1",\n]\n[tool.fnkit]\nname = "shop"\n[tool.uv.sources]\n'
)
INCLUDE = 'include = ["../../libs/money/src/money"]'


@pytest.mark.parametrize(
    ("source", "place", "hint"),
    [
        ('{ path = "../../libs/money", editable = true }', "a directory or a file", INCLUDE),
        ('[{ path = "../../libs/money", marker = "sys_platform == \'linux\'" }]', "a directory or a file", INCLUDE),
        ('{ path = "../../../outside" }', "a directory or a file", "Use a package from an index"),
        ('{ path = "money-1.0-py3-none-any.whl" }', "a directory or a file", "Use a package from an index"),
        ('{ git = "https://u:hunter2@example.com/x" }', "a repository", "Use a package from an index"),
        ('{ url = "https://u:hunter2@example.com/x.whl" }', "a URL", "Use a package from an index"),
        ("{ workspace = true }", "the workspace", "Use a package from an index"),
    ],
)
def test_package_that_is_in_no_index_is_reported_at_its_line(
    tmp_path: Path, source: str, place: str, hint: str
) -> None:
    project = write_repository(tmp_path / "repository", FILES)
    write_files(tmp_path, {"outside/money/__init__.py": ""})
    [problem] = problems_of(project, {"main.py": HANDLER, "pyproject.toml": f"{PYPROJECT}money = {source}\n"})
    assert locations((problem,)) == ["requirement-place pyproject.toml:4"]
    assert problem.message == f"Money is taken from {place} by [tool.uv.sources]."
    assert problem.hint is not None
    assert hint in problem.hint
    assert "hunter2" not in str(problem)


def test_member_of_the_workspace_has_its_sources(tmp_path: Path) -> None:
    root = "[tool.uv.sources]\nmoney = { workspace = true }\nrequests = { index = 'ours' }\n"
    project = write_repository(tmp_path, {**FILES, "pyproject.toml": WORKSPACE + root})
    files = {"main.py": HANDLER, "pyproject.toml": PYPROJECT}
    [problem] = problems_of(project, files)
    assert problem.message == "Money is taken from the workspace by [tool.uv.sources]."
    assert problem.hint is not None
    assert INCLUDE in problem.hint
    build_files(project, {**files, "pyproject.toml": f"{PYPROJECT}money = {{ index = 'theirs' }}\n"})
    assert read_package_sources(project)["money"].indexes == (IndexSource("theirs"),)
    assert read_package_sources(project)["requests"].indexes == (IndexSource("ours"),)


@pytest.mark.parametrize("members", ['["services/*"]', '["services/shop"]', '["**"]'])
def test_workspace_is_found(tmp_path: Path, members: str) -> None:
    workspace = f"[tool.uv.workspace]\nmembers = {members}\n"
    project = write_repository(tmp_path / "repository", {"pyproject.toml": workspace})
    assert find_workspace(project) == (tmp_path / "repository").resolve()


@pytest.mark.parametrize("members", ['["libs/*"]', '"services/*"', '["/services/*"]', "[1]", '[""]'])
def test_project_that_is_no_member_is_in_no_workspace(tmp_path: Path, members: str) -> None:
    workspace = f"[tool.uv.workspace]\nmembers = {members}\n"
    project = write_repository(tmp_path / "repository", {"pyproject.toml": workspace})
    write_files(tmp_path, {"pyproject.toml": '[tool.uv.workspace]\nmembers = ["**"]\n'})
    assert find_workspace(project) is None


def test_sources_of_a_group_count_and_those_of_requirements_txt_do_not(tmp_path: Path) -> None:
    group = '[dependency-groups]\npay = ["money"]\n[tool.uv.sources]\nmoney = { path = "libs/money" }\n'
    handler = HANDLER.replace("@function", '@function(groups=["pay"])')
    settings = '[tool.fnkit]\nname = "shop"\n'
    [problem] = problems_of(tmp_path / "a", {"main.py": handler, "pyproject.toml": settings + group})
    assert locations((problem,)) == ["requirement-place pyproject.toml:4"]
    files = {"main.py": HANDLER, "pyproject.toml": settings + group, "requirements.txt": "money\n"}
    assert build_files(tmp_path / "b", files).requirements == ("money",)


@pytest.mark.parametrize(
    "sources", ["sources = 1", "sources.money = 1", "sources.money = [1]", "sources.money = {}"]
)
def test_invalid_sources_are_left_to_uv(tmp_path: Path, sources: str) -> None:
    pyproject = PYPROJECT.replace("[tool.uv.sources]", "[tool.uv]") + sources + "\n"
    assert build_files(tmp_path, {"main.py": HANDLER, "pyproject.toml": pyproject}).requirements


def test_source_for_a_group_or_an_extra_is_one_for_no_other(tmp_path: Path) -> None:
    path = '{ path = "libs/money", group = "Pay_ments" }'
    sources = f"[tool.uv.sources]\nmoney = [{{ index = 'ours' }}, {path}, {{ git = 'x', extra = 'e' }}]\n"
    write_files(tmp_path, {"pyproject.toml": sources})
    assert read_package_sources(tmp_path)["money"].indexes == (IndexSource("ours"),)
    assert read_package_sources(tmp_path, ("other",))["money"].place == ""
    assert read_package_sources(tmp_path, ("pay-ments",))["money"].place == "a directory or a file"
