"""``fnkit invoke`` runs Python handlers with the packages of the project's lock, whatever runs fnkit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.package_index import PackageIndex, make_source_distribution, make_wheel, only_package_index

HANDLER = """
import sys

import shelf
from fnkit import function


@function
def books(event, context):
    return {"version": shelf.VERSION, "python": sys.executable, "path": sys.path, "prefix": sys.prefix}
"""
BACKEND = """
import zipfile
from pathlib import Path


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    name = "shelf-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(wheel_directory) / name, "w") as wheel:
        wheel.writestr("shelf.py", "VERSION = 'built'")
        wheel.writestr("shelf-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: shelf\\nVersion: 1.0\\n")
        tags = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n"
        wheel.writestr("shelf-1.0.dist-info/WHEEL", tags)
        wheel.writestr("shelf-1.0.dist-info/RECORD", "")
    return name
"""


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with only_package_index(tmp_path, monkeypatch) as server:
        yield server


@pytest.fixture
def shop(project: Path, index: PackageIndex) -> Path:
    make_wheel(index.folder, "shelf", "1.0")
    write_settings(project, "shelf")
    (project / "main.py").write_text(HANDLER)
    return project


def write_settings(project: Path, *requirements: str, settings: str = "") -> None:
    """Write the settings of a project with these requirements."""
    table = f'[project]\nname = "shop"\nversion = "1"\ndependencies = {json.dumps(requirements)}\n'
    (project / "pyproject.toml").write_text(f"{table}\n[tool.fnkit]\n{settings}")


def invoke(fnkit: Command, *arguments: str) -> dict[str, object]:
    """Invoke the function and return the document that it returned."""
    result = fnkit("invoke", "books", *arguments, "--json").ok().json()
    document = json.loads(str(result["body"]))
    assert isinstance(document, dict)
    return document


def environments(tmp_path: Path) -> list[Path]:
    """Return the environments in the cache."""
    return sorted(path.parent for path in (tmp_path / "cache/environments/python").glob("*/pyvenv.cfg"))


@pytest.mark.usefixtures("shop")
def test_handler_runs_with_the_locked_packages_and_nothing_else(fnkit: Command, tmp_path: Path) -> None:
    found = invoke(fnkit)
    [environment] = environments(tmp_path)
    assert found["version"] == "1.0"
    assert found["prefix"] == str(environment)
    (tmp_path / "project/main.py").write_text(HANDLER.replace("import shelf", "import click"))
    failed = fnkit("invoke", "books")
    assert failed.code == 1
    assert "No module named 'click'" in failed.stdout


@pytest.mark.usefixtures("shop")
def test_second_invocation_asks_no_index_and_makes_no_environment(
    fnkit: Command, tmp_path: Path, index: PackageIndex
) -> None:
    invoke(fnkit)
    made, asked = environments(tmp_path), list(index.requests)
    assert invoke(fnkit)["version"] == "1.0"
    assert environments(tmp_path) == made
    assert index.requests == asked


@pytest.mark.long
def test_changed_lock_makes_another_environment(
    shop: Path, fnkit: Command, tmp_path: Path, index: PackageIndex
) -> None:
    invoke(fnkit)
    make_wheel(index.folder, "shelf", "2.0")
    write_settings(shop, "shelf>=2")
    assert invoke(fnkit)["version"] == "2.0"
    assert len(environments(tmp_path)) == 2


@pytest.mark.long
@pytest.mark.usefixtures("shop")
def test_environment_whose_making_was_interrupted_is_made_again(fnkit: Command, tmp_path: Path) -> None:
    invoke(fnkit)
    [environment] = environments(tmp_path)
    (environment / "ready").unlink()
    [package] = environment.glob("lib/*/site-packages/shelf")
    (package / "__init__.py").write_text("half")
    assert invoke(fnkit)["version"] == "1.0"


@pytest.mark.long
@pytest.mark.usefixtures("shop")
def test_invocations_at_the_same_time_make_one_environment(fnkit: Command, tmp_path: Path) -> None:
    running = [fnkit.start("invoke", "books", "--json") for _ in range(3)]
    try:
        answers = [process.communicate(timeout=100) for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0, 0, 0], answers
    assert len(environments(tmp_path)) == 1


@pytest.mark.long
@pytest.mark.usefixtures("shop")
def test_only_the_part_of_fnkit_that_bundles_have_is_there(fnkit: Command, tmp_path: Path) -> None:
    invoke(fnkit)
    [environment] = environments(tmp_path)
    [package] = environment.glob("lib/*/site-packages/fnkit")
    parts = {"__init__.py", "errors.py", "authoring", "adapters"}
    assert {path.name for path in package.iterdir()} - {"__pycache__"} == parts


@pytest.mark.long
def test_package_that_is_built_from_source_needs_permission(
    project: Path, fnkit: Command, index: PackageIndex
) -> None:
    make_source_distribution(index.folder, "shelf", BACKEND)
    write_settings(project, "shelf", settings='source_builds = ["shelf"]\n')
    (project / "main.py").write_text(HANDLER)
    refused = fnkit("invoke", "books", "--json")
    assert refused.code == 1
    assert refused.json()["error"]["code"] == "builds-not-allowed"
    assert invoke(fnkit, "--allow-builds")["version"] == "built"


def test_project_without_requirements_needs_no_index(project: Path, fnkit: Command, index: PackageIndex) -> None:
    write_settings(project)
    (project / "main.py").write_text(HANDLER.replace("import shelf", "").replace("shelf.VERSION", "'none'"))
    assert invoke(fnkit)["version"] == "none"
    assert index.requests == []


@pytest.mark.long
@pytest.mark.usefixtures("shop")
def test_unreachable_index_is_an_error_with_a_hint(fnkit: Command) -> None:
    failed = fnkit("invoke", "books", "--json", UV_DEFAULT_INDEX="http://127.0.0.1:9/simple")
    assert failed.code == 1
    assert failed.json()["error"]["code"] == "index-unreachable"


def test_broken_lock_file_is_named(shop: Path, fnkit: Command) -> None:
    invoke(fnkit)
    [lock] = shop.glob("fnkit.*.local.lock")
    lock.write_text("= broken")
    failed = fnkit("invoke", "books", "--json").json()["error"]
    assert (failed["code"], failed["file"]) == ("lock-file", lock.name)


@pytest.mark.usefixtures("shop")
def test_cache_that_cannot_be_written_is_an_error_with_a_hint(fnkit: Command, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    failed = fnkit("invoke", "books", "--json", FNKIT_CACHE=str(tmp_path / "file"))
    assert failed.code == 1
    assert failed.json()["error"]["code"] == "cache-unusable"


@pytest.mark.long
@pytest.mark.usefixtures("shop")
def test_wheel_of_another_content_is_refused(fnkit: Command, index: PackageIndex) -> None:
    fnkit("lock", "--target", "local").ok()
    fnkit("platform", "stop").ok()  # which the lock has asked for its runtimes
    index.replaced["shelf-1.0-py3-none-any.whl"] = b"another"
    failed = fnkit("invoke", "books", "--json")
    assert failed.code == 1
    assert failed.json()["error"]["code"] == "environment"


@pytest.mark.long
@pytest.mark.usefixtures("shop")
def test_environment_is_a_virtual_environment_of_the_runtimes_interpreter(fnkit: Command, tmp_path: Path) -> None:
    invoke(fnkit)
    [environment] = environments(tmp_path)
    listed = subprocess.run(
        [environment / "bin/python", "-c", "import sys; print(sys.prefix != sys.base_prefix)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert listed.stdout == "True\n"


READER = """import os

SEEN = os.environ.get("LEVEL"), os.environ.get("API_KEY"), len(os.environ.get("HOME", "")) > 0
print("imported")
"""
READING_HANDLER = """import reader
from fnkit import function


@function(env={"LEVEL": "LEVEL_VALUE"}, secrets=["API_KEY"])
def books(event, context):
    return {"seen": reader.SEEN}
"""


@pytest.mark.long
def test_packages_imported_early_see_what_the_function_has(
    project: Path, fnkit: Command, index: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(index.folder, "reader", files={"reader.py": READER})
    write_settings(project, "reader")
    seen = []
    values = [("1", "a"), ("1", "a"), ("2", "a"), ("2", "b"), ("2", "b")]
    for level, key in values:
        (project / "main.py").write_text(READING_HANDLER.replace("LEVEL_VALUE", level))
        monkeypatch.setenv("API_KEY", key)
        result = fnkit("invoke", "books", "--json").ok().json()
        seen.append((json.loads(str(result["body"]))["seen"], result["logs"]))
    assert seen == [
        ([level, key, True], ["imported"])
        for level, key in (("1", "a"), ("1", "a"), ("2", "a"), ("2", "b"), ("2", "b"))
    ]


@pytest.mark.long
def test_early_start_knows_no_secret_and_is_only_a_hint(
    project: Path, fnkit: Command, index: PackageIndex, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_wheel(index.folder, "reader", files={"reader.py": READER})
    write_settings(project, "reader")
    (project / "main.py").write_text(READING_HANDLER)
    monkeypatch.setenv("API_KEY", "a secret of the test")
    invoke(fnkit)
    [record] = (tmp_path / "cache/early-starts").iterdir()
    assert "a secret of the test" not in record.read_text()
    for broken in ("", "null", '["/missing/python", {"environment": {}}]', '["/bin/false", {"environment": {}}]'):
        record.write_text(broken)
        assert invoke(fnkit) == {"seen": ["LEVEL_VALUE", "a secret of the test", True]}
