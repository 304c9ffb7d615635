"""The setting ``include``: which directories can be included, and what is said about others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project_tree import HANDLER, locations, problems_of
from tests.support.repositories import project_including, write_repository

FILES = {
    "libs/shared/words.py": "",
    "libs/money/src/money/__init__.py": "",
    "other/shared/x.py": "",
    "libs/README.md": "",
    "libs/package/x.py": "",
    "libs/fnkit/x.py": "",
    "libs/handlers/x.py": "",
    "libs/main/x.py": "",
    ".github/scripts/x.py": "",
    "libs/.keys/x.py": "",
    "services/shop/handlers/a.py": "",
    "services/shop/inner/x.py": "",
}


def test_included_directories_have_their_names_and_their_places(tmp_path: Path) -> None:
    project = write_repository(tmp_path, FILES)
    found = project_including(project, ["../../libs/shared/", "../../libs/./money/src/money"]).included
    assert [(one.name, one.directory, one.shown) for one in found] == [
        ("money", tmp_path.resolve() / "libs/money/src/money", "../../libs/money/src/money"),
        ("shared", tmp_path.resolve() / "libs/shared", "../../libs/shared"),
    ]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("../../libs/missing", "bad-include", "does not exist"),
        ("../../libs/README.md", "bad-include", "is not a directory"),
        ("inner", "bad-include", "is in the project's folder"),
        (".", "bad-include", "is in the project's folder"),
        ("../shop/inner", "bad-include", "is in the project's folder"),
        ("..", "bad-include", "contains the project"),
        ("../..", "bad-include", "contains the project"),
        ("../../..", "bad-include", "contains the project"),
        ("../../../outside", "include-outside", "outside the git repository"),
        ("../../libs/link-out", "include-outside", "outside the git repository"),
        ("../../libs/link-out/deep", "include-outside", "outside the git repository"),
        ("/etc", "bad-include", "not a path relative"),
        ("C:/shared", "bad-include", "not a path relative"),
        ("..\\\\shared", "bad-include", "not a path relative"),
        ("../\\u0000", "bad-include", "not a path relative"),
        ("", "bad-include", "not a path relative"),
        ("../../.git", "bad-include", "hidden directory .git"),
        ("../../.github/scripts", "bad-include", "hidden directory .github"),
        ("../../libs/.keys", "bad-include", "hidden directory .keys"),
        ("../../libs/link-hidden", "bad-include", "hidden directory .git"),
        ("../../libs/package", "bad-include", "cannot be named package"),
        ("../../libs/fnkit", "bad-include", "cannot be named fnkit"),
        ("../../libs/handlers", "bad-include", "the project has handlers itself"),
        ("../../libs/main", "bad-include", "the project has main.py itself"),
    ],
)
def test_directory_that_cannot_be_included_is_reported_at_its_element(
    tmp_path: Path, path: str, code: str, words: str
) -> None:
    project = write_repository(tmp_path / "repository", FILES)
    (tmp_path / "outside/deep").mkdir(parents=True)
    (tmp_path / "repository/libs/link-out").symlink_to(tmp_path / "outside")
    (tmp_path / "repository/libs/link-hidden").symlink_to("../.git")
    settings = f'name = "shop"\n\ninclude = [\n  "../../libs/shared",\n  "{path}",\n]\n'
    problems = problems_of(project, {"fnkit.toml": settings, "main.py": HANDLER})
    assert [one.code for one in problems] == [code]
    [problem] = problems
    assert words in problem.message
    assert problem.hint
    assert (problem.file, problem.line) == ("fnkit.toml", 5 if "\\u" not in path and "\\\\" not in path else 3)


def test_two_directories_of_one_name_are_a_problem(tmp_path: Path) -> None:
    project = write_repository(tmp_path, FILES)
    settings = 'name = "shop"\ninclude = ["../../libs/shared",\n"../../other/shared"]\n'
    [problem] = problems_of(project, {"fnkit.toml": settings, "main.py": HANDLER})
    assert (problem.code, problem.line) == ("bad-include", 3)
    assert "../../libs/shared and ../../other/shared" in problem.message


def test_every_problem_is_reported_at_once(tmp_path: Path) -> None:
    project = write_repository(tmp_path, FILES)
    settings = 'name = "Shop!"\ninclude = ["..",\n"../../libs/missing"]\n'
    problems = problems_of(project, {"fnkit.toml": settings, "main.py": HANDLER})
    assert {"bad-include fnkit.toml:2", "bad-include fnkit.toml:3"} < set(locations(problems))
    assert len(problems) == 3


def test_project_without_a_repository_cannot_include_anything(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    project = tmp_path / "shop"
    project.mkdir()
    settings = 'name = "shop"\ninclude = ["../shared"]\n'
    [problem] = problems_of(project, {"fnkit.toml": settings, "main.py": HANDLER})
    assert (problem.code, problem.line) == ("include-outside", 2)
    assert "git repository" in problem.message


def test_repository_of_its_own_is_the_limit_of_a_project(tmp_path: Path) -> None:
    project = write_repository(tmp_path, {**FILES, "services/shop/.git/HEAD": ""})
    settings = 'name = "shop"\ninclude = ["../../libs/shared"]\n'
    [problem] = problems_of(project, {"fnkit.toml": settings, "main.py": HANDLER})
    assert problem.code == "include-outside"


def test_worktree_or_submodule_has_a_file_instead_of_a_directory(tmp_path: Path) -> None:
    project = write_repository(tmp_path / "w", FILES)
    (tmp_path / "w/.git/HEAD").unlink()
    (tmp_path / "w/.git").rmdir()
    (tmp_path / "w/.git").write_text("gitdir: /elsewhere\n")
    assert [one.name for one in project_including(project, ["../../libs/shared"]).included] == ["shared"]


def test_link_of_the_project_to_the_same_directory_may_have_its_name(tmp_path: Path) -> None:
    project = write_repository(tmp_path, FILES)
    (project / "shared").symlink_to("../../libs/shared")
    assert [one.name for one in project_including(project, ["../../libs/shared"]).included] == ["shared"]
    (project / "shared").unlink()
    (project / "shared").symlink_to("../../other/shared")
    settings = 'name = "shop"\ninclude = ["../../libs/shared"]\n'
    [problem] = problems_of(project, {"fnkit.toml": settings})
    assert "the project has shared itself" in problem.message


def test_setting_must_be_a_list_of_strings(tmp_path: Path) -> None:
    project = write_repository(tmp_path, FILES)
    for value in ('"../shared"', "[1]", "true"):
        problems = problems_of(project, {"fnkit.toml": f'name = "shop"\ninclude = {value}\n', "main.py": HANDLER})
        assert [one.code for one in problems] == ["setting-type"], value


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"requirements.txt": "-e ../../libs/shared\n"}, "shared"),
        ({"requirements.txt": "--editable=../../libs/money\n"}, "money/src/money"),
        ({"requirements.txt": "../../libs/shared\n"}, "shared"),
        ({"requirements.txt": "shared @ file:../../libs/shared\n"}, "shared"),
        ({"requirements.txt": "money[eur] @ file:../../libs/money ; python_version > '3'\n"}, "money/src/money"),
    ],
)
def test_requirement_by_path_names_the_directory_to_include(
    tmp_path: Path, files: dict[str, str], name: str
) -> None:
    project = write_repository(tmp_path, FILES)
    [problem] = problems_of(project, {"main.py": HANDLER, **files})
    assert problem.code in ("requirement-option", "requirement-place")
    assert problem.hint is not None
    assert f'include = ["../../libs/{name}"]' in problem.hint


@pytest.mark.parametrize(
    "line", ["-e ../../../outside", "-e .", "-e inner", "-e ../../libs/missing", "-e git+https://u:hunter2@x/y"]
)
def test_other_requirements_by_path_keep_the_general_hint(tmp_path: Path, line: str) -> None:
    project = write_repository(tmp_path / "repository", FILES)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.py").touch()
    [problem] = problems_of(project, {"main.py": HANDLER, "requirements.txt": f"{line}\n"})
    assert problem.hint is not None
    assert "include = [" not in problem.hint
    assert "hunter2" not in str(problem)
