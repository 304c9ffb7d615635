"""Replays recorded traffic of Scaleway's API against the platform; fields, statuses and error texts must match."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.conformance_data import conformance_directory
from tests.support.platform import PlatformUnderTest

RUNTIME = f"python{sys.version_info.major}{sys.version_info.minor}"


@pytest.mark.conformance
def test_replayed_recordings_match(platform: PlatformUnderTest) -> None:
    folder = conformance_directory()
    names = sorted(file.stem for file in (folder / "cassettes").glob("*.jsonl"))
    assert len(names) > 10
    process = _replay(folder, platform, names)
    assert process.returncode == 0, process.stdout
    assert f"cassettes fully matched: {len(names)}/{len(names)}" in process.stdout


def _replay(folder: Path, platform: PlatformUnderTest, names: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, str(folder / "replay.py"), "--base", platform.api_url),
            *("--token", platform.secret_key, "--project-id", platform.project_id),
            *("--map-runtime", RUNTIME, "--poll-interval", "0.02", *names),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
