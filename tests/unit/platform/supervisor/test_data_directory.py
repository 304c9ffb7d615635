"""The data folder is private and a platform's; the socket folder is private and short."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.supervisor.data_directory import create_data_dir, create_socket_dir, default_data_dir


def test_the_home_is_fnkit_home_then_the_users_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_data_dir() == tmp_path / "fnkit"
    monkeypatch.setenv("XDG_DATA_HOME", "relative")
    assert default_data_dir() == Path.home() / ".local" / "share" / "fnkit"
    monkeypatch.setenv("FNKIT_HOME", str(tmp_path / "mine"))
    assert default_data_dir() == tmp_path / "mine"


def test_a_new_home_is_private(tmp_path: Path) -> None:
    create_data_dir(tmp_path / "a" / "b")
    assert _mode(tmp_path / "a" / "b") == 0o700


def test_an_empty_folder_becomes_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    create_data_dir(home)
    assert _mode(home) == 0o700


def test_a_platforms_folder_that_others_can_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "platform.json").write_text("{}")
    tmp_path.chmod(0o750)
    assert _refusal(tmp_path).code == "data-folder-permissions"


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("")
    tmp_path.chmod(0o755)
    assert _refusal(tmp_path).code == "data-folder-foreign"
    assert _mode(tmp_path) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, -1)
    error = _refusal(tmp_path)
    assert error.code == "data-folder-owner"
    assert "12345" in error.message


def test_a_file_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert _refusal(tmp_path / "file").code == "data-folder"
    assert _refusal(tmp_path / "file" / "below").code == "data-folder"


def test_sockets_lie_in_the_runtime_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = create_socket_dir(Path("/some/home"))
    assert folder.parent == tmp_path
    assert _mode(folder) == 0o700
    assert create_socket_dir(Path("/some/home")) == folder
    assert create_socket_dir(Path("/other/home")) != folder


def test_a_socket_address_is_never_too_long(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    folder = create_socket_dir(tmp_path)
    try:
        assert len(str(folder / "gateway.sock")) <= 107
    finally:
        folder.rmdir()


def test_a_socket_folder_that_others_can_enter_is_not_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = create_socket_dir(Path("/some/home"))
    folder.chmod(0o777)
    other = create_socket_dir(Path("/some/home"))
    try:
        assert other != folder
        assert _mode(other) == 0o700
    finally:
        other.rmdir()


def test_a_link_in_the_socket_folders_place_is_not_followed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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


def _refusal(home: Path) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        create_data_dir(home)
    assert caught.value.hint
    return caught.value
