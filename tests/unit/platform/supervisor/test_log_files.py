"""Log files of the platform's processes: limited, private, and readable while they grow."""

from __future__ import annotations

import stat
from pathlib import Path

from fnkit.platform.rotating_log import MAX_ROTATED_FILES, RotatingLogFile
from fnkit.platform.supervisor.data_directory import child_environment
from fnkit.platform.supervisor.log_files import LogFileFollower, tail_log


def test_full_log_is_rotated_and_old_files_are_limited(tmp_path: Path) -> None:
    log = RotatingLogFile(tmp_path / "control.log", max_bytes=100)
    for number in range(60):
        log.write(f"line {number:03}\n".encode())
    files = sorted(tmp_path.iterdir())
    assert len(files) <= MAX_ROTATED_FILES + 1
    assert all(file.stat().st_size <= 110 for file in files)
    assert "line 059" in "".join(file.read_text() for file in files)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_write_to_an_unwritable_log_does_not_raise(tmp_path: Path) -> None:
    RotatingLogFile(tmp_path / "missing" / "control.log").write(b"words\n")


def test_tail_returns_the_last_lines(tmp_path: Path) -> None:
    _make_log_folder(tmp_path)
    RotatingLogFile(tmp_path / "logs/platform/control.log").write(b"one\ntwo\nthree\n")
    assert tail_log(tmp_path, "control", 2) == ["two", "three"]
    assert tail_log(tmp_path, "control", 0) == []
    assert tail_log(tmp_path, "data-plane", 5) == []


def test_follower_returns_complete_lines_across_rotations(tmp_path: Path) -> None:
    _make_log_folder(tmp_path)
    log = RotatingLogFile(tmp_path / "logs/platform/control.log", max_bytes=14)
    log.write(b"before\n")
    follower = LogFileFollower(tmp_path, "control")
    assert follower.read_new_lines() == []
    log.write(b"ha")
    assert follower.read_new_lines() == []
    log.write(b"lf\n")
    assert follower.read_new_lines() == ["half"]
    log.write(b"new\n")
    log.write(b"and more\n")
    assert follower.read_new_lines() == ["new", "and more"]
    follower.close()


def test_child_environment_contains_no_credentials_of_the_user() -> None:
    environment = {"PATH": "/bin", "SCW_SECRET_KEY": "s", "GITHUB_TOKEN": "t", "DATABASE_URL": "d", "LC_ALL": "C"}
    assert child_environment(environment) == {"PATH": "/bin", "LC_ALL": "C", "PYTHONUNBUFFERED": "1"}


def test_child_environment_tells_a_pod_where_its_cluster_is() -> None:
    cluster = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    environment = {**cluster, "KUBERNETES_PORT": "tcp://10.96.0.1:443"}
    assert child_environment(environment) == {**cluster, "PYTHONUNBUFFERED": "1"}


def _make_log_folder(data_dir: Path) -> None:
    (data_dir / "logs" / "platform").mkdir(parents=True)
