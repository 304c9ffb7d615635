"""Builds whose dependencies did not change use those of an earlier build of the same function."""

from __future__ import annotations

import io
import os
import stat
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from fnkit.platform.control.deployments.build import build
from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob, BuildLog
from fnkit.platform.control.deployments.dependencies import DependencyStore
from fnkit.platform.control.images.images import BuiltLayers
from fnkit.platform.control.images.layer import measure_layer

PACKAGE = {"package/dep/__init__.py": "NAMES = {'b', 'a', 'c'}\n", "package/dep/tests/test_x.py": "x = 1\n"}
UID = 54_320 if os.geteuid() == 0 else 0


def archive_of(files: Mapping[str, str], links: Mapping[str, str] | None = None) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        for name, target in (links or {}).items():
            link = zipfile.ZipInfo(name)
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, target)
    return content


def build_into(folder: Path, number: int, archive: io.BytesIO, **changes: object) -> tuple[Path, str]:
    """Build a deployment. Return its directory, and the key of its dependencies."""
    folder.chmod(0o755)
    target = folder / f"f-{number}"
    settings: dict[str, object] = {
        "runtime": "python311",
        "handler": "main.handle",
        "archive": archive,
        "target": target,
        "uid": UID,
        "interpreter": os.path.realpath(sys.executable),
        "log": BuildLog(folder / "logs", number, lambda: "2026-01-01T00:00:00.000000Z"),
        "progress": lambda _: None,
        "dependencies": DependencyStore(folder / "dependencies", "f"),
        **changes,
    }
    return target, build(BuildJob(**settings))  # type: ignore[arg-type]  # by name


def tree(folder: Path) -> dict[str, tuple[bool, int, int, bytes]]:
    """Return every entry with its kind, mode, owner and content."""
    return {
        str(path.relative_to(folder)): (
            path.is_dir(),
            stat.S_IMODE(path.lstat().st_mode),
            path.lstat().st_uid,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in folder.rglob("*")
    }


def test_unchanged_dependencies_are_linked(tmp_path: Path) -> None:
    first, first_key = build_into(tmp_path, 1, archive_of({"main.py": "x = 1\n", **PACKAGE}))
    second, second_key = build_into(tmp_path, 2, archive_of({"main.py": "x = 2\n", **PACKAGE}))
    assert first_key == second_key != ""
    assert tree(first / "package") == tree(second / "package")
    assert list((first / "package/dep/__pycache__").iterdir())
    for path in (first / "package").rglob("*"):
        if path.is_file():
            assert path.samefile(second / path.relative_to(first))
    assert not (first / "main.py").samefile(second / "main.py")
    assert list((second / "__pycache__").iterdir())
    assert "those of an earlier deployment" in (tmp_path / "logs/build.jsonl").read_text()


def test_linked_build_equals_one_from_scratch(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    build_into(tmp_path, 1, archive_of({"main.py": "x = 1\n", **PACKAGE}))
    linked, _ = build_into(tmp_path, 2, archive_of({"main.py": "x = 2\n", **PACKAGE}))
    fresh, _ = build_into(tmp_path / "other", 2, archive_of({"main.py": "x = 2\n", **PACKAGE}))
    assert tree(linked) == tree(fresh)
    one, other = BuiltLayers(linked, "Python", "package"), BuiltLayers(fresh, "Python", "package")
    assert measure_layer(one.dependency_entries()) == measure_layer(other.dependency_entries())
    assert measure_layer(one.code_entries()) == measure_layer(other.code_entries())


@pytest.mark.parametrize(
    "changed",
    [
        {"package/dep/__init__.py": "NAMES = {'b', 'a', 'd'}\n"},
        {"package/dep/more.py": ""},
        {"package/other.txt": ""},
    ],
    ids=["content", "module", "file"],
)
def test_changed_dependencies_are_built_and_replace_the_kept_ones(tmp_path: Path, changed: dict[str, str]) -> None:
    _, first_key = build_into(tmp_path, 1, archive_of({"main.py": "x = 1\n", **PACKAGE}))
    second, second_key = build_into(tmp_path, 2, archive_of({"main.py": "x = 1\n", **PACKAGE, **changed}))
    assert first_key != second_key
    for name, text in changed.items():
        assert (second / name).read_text() == text
    assert [path.name for path in (tmp_path / "dependencies").iterdir()] == [f"f-{second_key}"]


def test_dependencies_of_another_interpreter_are_not_used(tmp_path: Path) -> None:
    archive = archive_of({"main.py": "x = 1\n", **PACKAGE})
    _, first_key = build_into(tmp_path, 1, archive)
    _, second_key = build_into(tmp_path, 2, archive, interpreter=None)
    assert first_key != second_key


def test_dependencies_with_links_are_not_kept(tmp_path: Path) -> None:
    archive = archive_of({"main.py": "x = 1\n", **PACKAGE}, {"package/link.py": "../main.py"})
    target, key = build_into(tmp_path, 1, archive)
    assert key == ""
    assert (target / "package/link.py").read_text() == "x = 1\n"
    assert not (tmp_path / "dependencies").exists()


def test_kept_dependencies_count_towards_the_size(tmp_path: Path) -> None:
    files = {"main.py": "x = 1\n", "package/big.txt": "x" * 5000}
    build_into(tmp_path, 1, archive_of(files))
    with pytest.raises(BuildFailed) as caught:
        build_into(tmp_path, 2, archive_of({**files, "main.py": "x" * 5000}), unpacked_max=9000)
    assert "larger than 9000 bytes" in caught.value.detail


def test_dependencies_are_built_again_where_links_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_into(tmp_path, 1, archive_of({"main.py": "x = 1\n", **PACKAGE}))

    def refuse(*_arguments: object, **_options: object) -> None:
        raise OSError(31, "Too many links")

    monkeypatch.setattr(os, "link", refuse)
    target, key = build_into(tmp_path, 2, archive_of({"main.py": "x = 2\n", **PACKAGE}))
    assert (target / "package/dep/__init__.py").read_text() == PACKAGE["package/dep/__init__.py"]
    assert key
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("f-")) == ["f-1", "f-2"]
