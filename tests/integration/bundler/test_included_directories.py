"""Archives and slices of projects that include directories of their repository."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from fnkit.bundler.import_check import check_imports
from fnkit.bundler.model import Bundle
from fnkit.errors import BundleError
from fnkit.project import Project
from fnkit.project.model import BuildCommand
from tests.support.bundle_projects import BundleRun, call_handler, function_spec, project_with
from tests.support.project_tree import write_files
from tests.support.repositories import project_including, write_repository

INCLUDE = ("../../libs/shared", "../../libs/money/src/money")
MAIN = """from fnkit import function
from shared import words
import money

@function
def hello(event, context):
    return words.hello() + money.show(5)
"""
OTHER = """from fnkit import function

@function
def other(event, context):
    return "other"
"""
SHARED = {
    "libs/shared/words.py": "def hello():\n    return 'hello '\n",
    "libs/shared/unused.py": "",
    "libs/money/src/money/__init__.py": "from .coin import show\n",
    "libs/money/src/money/coin.py": "def show(amount):\n    return f'{amount} EUR'\n",
    "libs/money/pyproject.toml": "",
}


def shop(folder: Path, files: dict[str, str | bytes] | None = None, settings: str = "") -> Project:
    """Write a repository with a project of two functions, of which one uses shared code."""
    project = write_repository(folder, {**SHARED, **(files or {})})
    defaults = '[defaults]\nruntime = "python313"\n'
    return project_including(project, INCLUDE, {"main.py": MAIN, "other.py": OTHER}, settings=settings + defaults)


def own_names(bundle: Bundle) -> set[str]:
    with zipfile.ZipFile(bundle.path) as archive:
        return {name for name in archive.namelist() if not name.startswith("package/fnkit")}


def test_archive_has_the_directories_under_their_names_and_runs(tmp_path: Path, bundling: BundleRun) -> None:
    bundle = bundling.bundle(shop(tmp_path / "repository"))
    assert own_names(bundle) == {
        "main.py",
        "other.py",
        "shared/words.py",
        "shared/unused.py",
        "money/__init__.py",
        "money/coin.py",
    }
    with zipfile.ZipFile(bundle.path) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert call_handler(tmp_path / "unpacked", "main.hello") == '"hello 5 EUR"'


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("libs/shared/words.py", {"hello"}),
        ("libs/money/src/money/coin.py", {"hello"}),
        ("libs/money/src/money/__init__.py", {"hello"}),
        ("libs/shared/unused.py", set()),
        ("libs/money/pyproject.toml", set()),
        ("libs/elsewhere.py", set()),
        ("libs/shared/new.txt", {"hello", "other"}),
        ("libs/shared/new.py", set()),
    ],
)
def test_only_functions_that_reach_a_changed_file_change(
    tmp_path: Path, bundling: BundleRun, file: str, changed: set[str]
) -> None:
    before = bundling.bundle(shop(tmp_path / "repository"))
    path = tmp_path / "repository" / file
    path.write_text((path.read_text() if path.exists() else "") + "\n# changed\n")
    after = bundling.bundle(shop_again(tmp_path / "repository"))
    digests = {one.function: one.digest for one in before.slices}
    assert {one.function for one in after.slices if one.digest != digests[one.function]} == changed


def shop_again(folder: Path) -> Project:
    """Return the project of a repository as it is now."""
    settings = '[defaults]\nruntime = "python313"\n'
    return project_including(
        folder / "services/shop", INCLUDE, {"main.py": MAIN, "other.py": OTHER}, settings=settings
    )


def test_files_of_a_slice_are_named_as_users_know_them(tmp_path: Path, bundling: BundleRun) -> None:
    bundle = bundling.bundle(shop(tmp_path))
    names = [name for name, _ in bundle.slice_of("hello").files if not name.startswith("package/")]
    assert names == [
        "main.py",
        "../../libs/money/src/money/__init__.py",
        "../../libs/money/src/money/coin.py",
        "../../libs/shared/words.py",
    ]


def test_import_that_nothing_provides_is_reported_in_the_included_file(tmp_path: Path, bundling: BundleRun) -> None:
    project = shop(tmp_path, {"libs/shared/words.py": "import os\nimport httpx\ndef hello(): ...\n"})
    with pytest.raises(BundleError) as raised:
        bundling.bundle(project)
    place = ("../../libs/shared/words.py", 2)
    assert (raised.value.code, (raised.value.file, raised.value.line)) == ("missing-requirement", place)
    [problem] = check_imports(project, bundling.cache).problems
    assert (problem.code, (problem.file, problem.line)) == ("missing-requirement", place)


def test_reason_for_a_whole_project_names_the_included_file(tmp_path: Path, bundling: BundleRun) -> None:
    project = shop(tmp_path, {"libs/money/src/money/coin.py": "import pickle\ndef show(amount): ...\n"})
    bundle = bundling.bundle(project)
    reason = bundle.slice_of("hello").whole_project_reason
    assert reason is not None
    assert reason.startswith("../../libs/money/src/money/coin.py line 1 ")
    assert "../../libs/shared/unused.py" in dict(bundle.slice_of("hello").files)


def test_withheld_secret_of_an_included_directory_is_noted(tmp_path: Path, bundling: BundleRun) -> None:
    bundle = bundling.bundle(shop(tmp_path, {"libs/shared/server.pem": "PRIVATE", "libs/shared/.env": "A=1"}))
    assert not {"shared/server.pem", "shared/.env"} & own_names(bundle)
    [note] = [note for note in bundle.notes if "server.pem" in note]
    assert "!shared/server.pem" in note


def test_build_of_a_python_function_has_the_directories_in_its_copy(tmp_path: Path, bundling: BundleRun) -> None:
    project = shop(tmp_path / "repository", {"libs/shared/key.pem": "PRIVATE"})
    build = BuildCommand(command="find shared money -type f | sort > made.txt", inputs=(), output=".")
    built = project_with(project.root, function_spec("hello", "main.hello", build=build), included=project.included)
    bundle = bundling.bundle(built, allow_builds=lambda _request: True)
    with zipfile.ZipFile(bundle.path) as archive:
        made = archive.read("made.txt").decode().split()
    assert made == ["money/__init__.py", "money/coin.py", "shared/unused.py", "shared/words.py"]


def test_built_function_that_depends_on_the_whole_project_depends_on_the_directories(
    tmp_path: Path, bundling: BundleRun
) -> None:
    project = shop(tmp_path / "repository")
    build = BuildCommand(command="echo > made.txt", inputs=("main.py",), output="made")
    digests = []
    for text in ("", "# changed\n"):
        write_files(tmp_path / "repository", {"libs/shared/unused.py": text})
        built = function_spec("hello", "main.hello", build=build, change_detection="project")
        bundle = bundling.bundle(project_with(project.root, built, included=project.included), allow_builds=None)
        digests.append(bundle.slice_of("hello").digest)
    assert digests[0] != digests[1]


def test_build_of_a_node_function_has_what_its_links_point_to(tmp_path: Path, bundling: BundleRun) -> None:
    project = shop(tmp_path / "repository", {"libs/shared/greet.js": "exports.greet = () => 1;\n"})
    write_files(project.root, {"web/handler.js": "exports.handle = () => 1;\n"})
    (project.root / "web/shared").symlink_to("../../../libs/shared")
    build = BuildCommand(command="mkdir dist; cat shared/greet.js > dist/app.js", inputs=(), output="dist")
    web = function_spec("web", "dist/app.handle", runtime="node24", root="web", build=build)
    built = project_with(project.root, web, included=project.included)
    bundle = bundling.bundle(built, kind="scaleway", allow_builds=lambda _request: True)
    with zipfile.ZipFile(bundle.path) as archive:
        assert archive.read("dist/app.js") == b"exports.greet = () => 1;\n"
        assert archive.read("shared/greet.js") == b"exports.greet = () => 1;\n"


def test_module_of_the_standard_library_may_be_included_as_it_may_be_in_a_project(
    tmp_path: Path, bundling: BundleRun
) -> None:
    project = write_repository(tmp_path, {"libs/wave/__init__.py": "A = 1\n"})
    settings = '[defaults]\nruntime = "python313"\n'
    found = project_including(project, ["../../libs/wave"], {"main.py": OTHER}, settings=settings)
    names = dict(bundling.bundle(found).slice_of("other").files)
    assert "../../libs/wave/__init__.py" in names  # a module of the project hides the standard one of the same name
