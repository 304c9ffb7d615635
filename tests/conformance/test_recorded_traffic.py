"""Replays recorded traffic of the real API against ours: every field, status and error text must match."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.oracles import conformance_folder
from tests.support.platform import PlatformUnderTest

NOT_YET = ("token",)
"""Recordings of operations that this platform does not serve yet, by a word of their names."""

RUNTIME = f"python{sys.version_info.major}{sys.version_info.minor}"


@pytest.mark.conformance
def test_every_recording_of_what_we_serve_matches(platform: PlatformUnderTest) -> None:
    folder = conformance_folder()
    names = sorted(file.stem for file in (folder / "cassettes").glob("*.jsonl"))
    served = [name for name in names if not any(word in name for word in NOT_YET)]
    assert len(served) > 10
    done = _replay(folder, platform, served)
    assert done.returncode == 0, done.stdout
    assert f"cassettes fully matched: {len(served)}/{len(served)}" in done.stdout


@pytest.mark.conformance
@pytest.mark.parametrize("word", NOT_YET)
def test_the_list_of_what_we_do_not_serve_is_true(platform: PlatformUnderTest, word: str) -> None:
    folder = conformance_folder()
    name = next(file.stem for file in sorted((folder / "cassettes").glob("*.jsonl")) if word in file.stem)
    assert "HTTP 501" in _replay(folder, platform, [name]).stdout


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
