"""The data directory is private and belongs to one platform; the socket directory is private and its path short."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.supervisor.data_directory import (
    check_data_dir_readable,
    create_data_dir,
    create_socket_dir,
    default_data_dir,
)


def test_default_data_directory_is_fnkit_home_or_the_xdg_data_home(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "fnkit"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_data_dir() == Path.home() / ".local" / "share" / "fnkit"
    monkeypatch.setenv("FNKIT_HOME", str(tmp_path / "own"))
    assert default_data_dir() == tmp_path / "own"


def test_new_data_directory_is_private(tmp_path: Path) -> None:
    create_data_dir(tmp_path / "a" / "b")
    assert _mode(tmp_path / "a" / "b") == 0o700


def test_empty_data_directory_is_made_private(tmp_path: Path) -> None:
    data_dir = tmp_path / "home"
    data_dir.mkdir(mode=0o755)
    create_data_dir(data_dir)
    assert _mode(data_dir) == 0o700


def test_data_directory_readable_by_others_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "platform.json").write_text("{}")
    tmp_path.chmod(0o750)
    assert _rejection(tmp_path).code == "data-folder-permissions"


def test_directory_with_foreign_files_is_rejected_unchanged(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    tmp_path.chmod(0o755)
    assert _rejection(tmp_path).code == "data-folder-foreign"
    assert _mode(tmp_path) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change the owner of a folder")
def test_directory_of_another_user_is_rejected(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    error = _rejection(tmp_path)
    assert error.code == "data-folder-owner"
    assert "12345" in error.message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as another user")
def test_directory_that_another_user_keeps_closed_is_not_taken_for_an_empty_one() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are closed to the other user
        os.seteuid(12345)
        try:
            with pytest.raises(PlatformError, match="belongs to another user") as raised:
                check_data_dir_readable(Path(folder))
        finally:
            os.seteuid(0)
    assert raised.value.code == "data-folder-owner"


@pytest.mark.skipif(os.geteuid() == 0, reason="root can read everything")
def test_unreadable_directory_is_rejected(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        with pytest.raises(PlatformError) as raised:
            check_data_dir_readable(tmp_path)
    finally:
        tmp_path.chmod(0o700)
    assert raised.value.code == "data-folder-permissions"


def test_missing_and_own_directories_are_readable(tmp_path: Path) -> None:
    check_data_dir_readable(tmp_path)
    check_data_dir_readable(tmp_path / "missing")


def test_file_as_data_directory_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert _rejection(tmp_path / "file").code == "data-folder"
    assert _rejection(tmp_path / "file" / "below").code == "data-folder"


def test_socket_directory_is_in_the_xdg_runtime_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = create_socket_dir(Path("/some/home"))
    assert folder.parent == tmp_path
    assert _mode(folder) == 0o700
    assert create_socket_dir(Path("/some/home")) == folder
    assert create_socket_dir(Path("/other/home")) != folder


def test_socket_path_never_exceeds_the_length_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    folder = create_socket_dir(tmp_path)
    try:
        assert len(str(folder / "gateway.sock")) <= 107
    finally:
        folder.rmdir()


def test_socket_directory_accessible_to_others_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = create_socket_dir(Path("/some/home"))
    folder.chmod(0o777)
    other = create_socket_dir(Path("/some/home"))
    try:
        assert other != folder
        assert _mode(other) == 0o700
    finally:
        other.rmdir()


def test_symlink_as_socket_directory_is_not_followed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = create_socket_dir(Path("/some/home"))
    folder.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)
    other = create_socket_dir(Path("/some/home"))
    try:
        assert other != folder
    finally:
        other.rmdir()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def _rejection(data_dir: Path) -> PlatformError:
    with pytest.raises(PlatformError) as raised:
        create_data_dir(data_dir)
    assert raised.value.hint
    return raised.value
