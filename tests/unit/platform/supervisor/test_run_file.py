"""The run file identifies the platform's process by its id and its start time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from fnkit.platform.model.settings import DataLayout, PlatformSettings
from fnkit.platform.supervisor.data_directory import (
    RunFile,
    load_or_create_credentials,
    process_start_time,
    read_run_file,
    write_run_file,
)
from fnkit.platform.supervisor.launcher import find_running_platform, stop_platform


def test_running_process_has_a_start_time() -> None:
    assert process_start_time(os.getpid()) == process_start_time(os.getpid()) != ""


def test_missing_or_ended_process_has_no_start_time() -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_start_time(child.pid) is None, "it has ended and was not waited for"
    child.wait()
    child.stdout.close()
    assert process_start_time(child.pid) is None
    assert process_start_time(0) is None


def test_run_file_round_trips(tmp_path: Path) -> None:
    write_run_file(tmp_path / "run.json", _run(os.getpid()))
    assert read_run_file(tmp_path / "run.json") == _run(os.getpid())


def test_invalid_run_file_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"pid": ')
    assert read_run_file(tmp_path / "run.json") is None


def test_platform_with_a_running_process_is_found(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path)
    load_or_create_credentials(layout.credentials_file)
    write_run_file(layout.run_file, _run(os.getpid()))
    found = find_running_platform(tmp_path)
    assert found is not None
    assert found.api_url == "http://127.0.0.1:8480"


def test_process_with_a_reused_id_is_not_found_and_not_stopped(tmp_path: Path) -> None:
    layout = DataLayout(tmp_path)
    load_or_create_credentials(layout.credentials_file)
    write_run_file(layout.run_file, msgspec.structs.replace(_run(os.getpid()), started_at="1"))
    assert find_running_platform(tmp_path) is None
    assert stop_platform(tmp_path) is False


def _run(pid: int) -> RunFile:
    return RunFile(
        pid=pid,
        started_at=process_start_time(pid) or "",
        socket_folder="/nowhere",
        settings=PlatformSettings(api_port=8480, gateway_port=8481),
    )
