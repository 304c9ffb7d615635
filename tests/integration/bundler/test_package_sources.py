"""Packages that ``[tool.uv.sources]`` takes from an index: they never come from another one with the same name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.bundler.bundle import lock_project
from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.errors import BundleError
from fnkit.project.model import Project
from tests.support.bundle_projects import BundleRun
from tests.support.package_index import PackageIndex, make_wheel, package_index
from tests.support.project_tree import HANDLER, build_files

PROJECT = (
    '[tool.fnkit]\nname = "shop"\n[project]\nname = "shop"\nversion = "0"\ndependencies = ["pure", "ours>=1"]\n'
)
SOURCE = 'sources.Ours = { index = "private" }\n'


@pytest.fixture
def private(tmp_path: Path, index: PackageIndex) -> Iterator[PackageIndex]:
    """Serve ``ours`` 1.0 beside a public index that has a stranger's ``ours`` 9.0, and ``pure``, which needs it."""
    make_wheel(index.folder, "ours", "9.0")
    make_wheel(index.folder, "pure", requires=("ours",))
    with package_index(tmp_path / "private") as server:
        make_wheel(server.folder, "ours", "1.0")
        yield server


def declared(private: PackageIndex, *, options: str = ", explicit = true") -> str:
    return f'[tool.uv]\nindex = [{{ name = "private", url = "{private.url}"{options} }}]\n'


def project_of(tmp_path: Path, settings: str, *, handler: str = HANDLER, project: str = PROJECT) -> Project:
    return build_files(tmp_path / "project", {"main.py": handler, "pyproject.toml": project + settings})


def lock_of(project: Project) -> Lock:
    [lock] = lock_project(project, {}, kind="scaleway")
    return lock


def versions(lock: Lock) -> dict[str, str]:
    return {one.name: one.version for one in lock.packages}


@pytest.mark.parametrize("options", [", explicit = true", ""])
def test_package_comes_from_its_index(
    tmp_path: Path, private: PackageIndex, index: PackageIndex, bundling: BundleRun, options: str
) -> None:
    project = project_of(tmp_path, declared(private, options=options) + SOURCE)
    assert versions(lock_of(project)) == {"ours": "1.0", "pure": "1.0"}
    bundle = bundling.bundle(project)
    assert [(one.name, one.version) for one in bundle.dependencies] == [("ours", "1.0"), ("pure", "1.0")]
    assert not any("ours" in path for path in index.requests)


def test_source_that_is_added_makes_the_lock_stale(tmp_path: Path, private: PackageIndex) -> None:
    assert versions(lock_of(project_of(tmp_path, declared(private))))["ours"] == "9.0"
    assert versions(lock_of(project_of(tmp_path, declared(private) + SOURCE)))["ours"] == "1.0"


def test_source_applies_for_its_marker(tmp_path: Path, private: PackageIndex) -> None:
    source = "sources.ours = [{ index = 'private', marker = \"sys_platform == '%s'\" }]\n"
    assert versions(lock_of(project_of(tmp_path, declared(private) + source % "linux")))["ours"] == "1.0"
    assert versions(lock_of(project_of(tmp_path, declared(private) + source % "win32")))["ours"] == "9.0"


def test_package_of_a_group_comes_from_its_index(tmp_path: Path, private: PackageIndex) -> None:
    handler = f"{HANDLER}@function(groups=['pay'])\ndef pay(event, context): ...\n"
    project = PROJECT.replace('"pure", "ours>=1"', "") + '[dependency-groups]\npay = ["ours"]\n'
    lock = lock_of(project_of(tmp_path, declared(private) + SOURCE, handler=handler, project=project))
    assert [(one.name, one.version, one.groups) for one in lock.packages] == [("ours", "1.0", ("pay",))]


def test_member_of_a_workspace_has_its_indexes(tmp_path: Path, private: PackageIndex) -> None:
    workspace = f'{declared(private)}{SOURCE}workspace.members = ["services/*"]\n'
    files = {"pyproject.toml": workspace, ".git/HEAD": ""}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    member = build_files(tmp_path / "services/shop", {"main.py": HANDLER, "pyproject.toml": PROJECT})
    assert versions(lock_of(member))["ours"] == "1.0"


def test_version_that_the_index_lacks_is_an_error_at_the_requirement(tmp_path: Path, private: PackageIndex) -> None:
    project = PROJECT.replace("ours>=1", "ours>=2")
    with pytest.raises(BundleError) as raised:
        lock_of(project_of(tmp_path, declared(private) + SOURCE, project=project))
    assert (raised.value.code, raised.value.file, raised.value.line) == ("no-such-version", "pyproject.toml", 6)
    assert "only ours==1.0 is available and you require ours>=2" in raised.value.message
    assert "fnkit" not in raised.value.message


def test_index_has_its_credentials_in_the_environment(
    tmp_path: Path, private: PackageIndex, bundling: BundleRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    private.credentials = "some one:hidden/word"
    monkeypatch.setenv("UV_INDEX_PRIVATE_USERNAME", "some one")
    monkeypatch.setenv("UV_INDEX_PRIVATE_PASSWORD", "hidden/word")
    bundle = bundling.bundle(project_of(tmp_path, declared(private) + SOURCE))
    assert [(one.name, one.version) for one in bundle.dependencies] == [("ours", "1.0"), ("pure", "1.0")]
    assert all("hidden" not in path.read_text() for path in tmp_path.glob("project/*.lock"))


@pytest.mark.usefixtures("private")
def test_index_that_is_not_declared_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError) as raised:
        lock_of(project_of(tmp_path, "[tool.uv]\n" + SOURCE))
    assert (raised.value.code, raised.value.file, raised.value.line) == ("unknown-index", "pyproject.toml", 6)
    assert raised.value.message == "[tool.uv.sources] takes ours from an index that is not declared."


def test_index_may_be_declared_in_the_environment(
    tmp_path: Path, private: PackageIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", f"private={private.url}")
    assert versions(lock_of(project_of(tmp_path, "[tool.uv]\n" + SOURCE)))["ours"] == "1.0"


def test_invalid_index_of_a_repository_is_an_error(tmp_path: Path, private: PackageIndex) -> None:
    settings = f'[tool.uv]\nindex = [1, "x", {{ url = "{private.url}" }}]\n{SOURCE}'
    with pytest.raises(BundleError) as raised:
        lock_of(project_of(tmp_path, settings))
    assert raised.value.code == "uv-settings"
