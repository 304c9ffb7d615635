"""The platform's own logs: bounded, private, and readable while they grow."""

from __future__ import annotations

import stat
from pathlib import Path

from fnkit.platform.supervisor.data_directory import child_environment
from fnkit.platform.supervisor.log_files import MAX_ROTATED_FILES, LogFileFollower, RotatingLogFile, tail_log


def test_a_full_log_starts_anew_and_old_ones_are_bounded(tmp_path: Path) -> None:
    log = RotatingLogFile(tmp_path / "control.log", max_bytes=100)
    for number in range(60):
        log.write(f"line {number:03}\n".encode())
    files = sorted(tmp_path.iterdir())
    assert len(files) <= MAX_ROTATED_FILES + 1
    assert all(file.stat().st_size <= 110 for file in files)
    assert "line 059" in "".join(file.read_text() for file in files)
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in files)


def test_a_log_that_cannot_be_written_loses_lines_and_nothing_else(tmp_path: Path) -> None:
    RotatingLogFile(tmp_path / "missing" / "control.log").write(b"words\n")


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    _make_log_folder(tmp_path)
    RotatingLogFile(tmp_path / "logs/platform/control.log").write(b"one\ntwo\nthree\n")
    assert tail_log(tmp_path, "control", 2) == ["two", "three"]
    assert tail_log(tmp_path, "control", 0) == []
    assert tail_log(tmp_path, "data-plane", 5) == []


def test_a_reader_gives_whole_lines_as_they_come_over_rotations_too(tmp_path: Path) -> None:
    _make_log_folder(tmp_path)
    log = RotatingLogFile(tmp_path / "logs/platform/control.log", max_bytes=14)
    log.write(b"before\n")
    reader = LogFileFollower(tmp_path, "control")
    assert reader.read_new_lines() == []
    log.write(b"ha")
    assert reader.read_new_lines() == []
    log.write(b"lf\n")
    assert reader.read_new_lines() == ["half"]
    log.write(b"new\n")
    log.write(b"and more\n")
    assert reader.read_new_lines() == ["new", "and more"]
    reader.close()


def test_no_credential_of_the_user_reaches_the_platform() -> None:
    given = {"PATH": "/bin", "SCW_SECRET_KEY": "s", "GITHUB_TOKEN": "t", "DATABASE_URL": "d", "LC_ALL": "C"}
    assert child_environment(given) == {"PATH": "/bin", "LC_ALL": "C", "PYTHONUNBUFFERED": "1"}


def _make_log_folder(home: Path) -> None:
    (home / "logs" / "platform").mkdir(parents=True)
