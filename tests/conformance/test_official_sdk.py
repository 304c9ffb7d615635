"""Scaleway's Python SDK, unmodified, against the platform."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.conformance_data import conformance_directory
from tests.support.platform import PlatformUnderTest

# Read before the tests change HOME, to keep the SDK between runs.
_CLIENTS = Path.home() / ".cache" / "fnkit-clients"


@pytest.mark.long
@pytest.mark.conformance
@pytest.mark.timeout(400)
def test_python_sdk_driver_passes_every_check(platform: PlatformUnderTest) -> None:
    driver = conformance_directory() / "clients" / "drive_sdk_py.py"
    process = subprocess.run(
        [
            *(sys.executable, str(driver), "--api", platform.api_url, "--gateway", platform.gateway_url),
            *("--token", platform.secret_key, "--project", platform.project_id),
            *("--runtime", f"python{sys.version_info.major}{sys.version_info.minor}"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=380,
        env={**os.environ, "FNKIT_CLIENTS": os.environ.get("FNKIT_CLIENTS", str(_CLIENTS))},
    )
    failed = {
        line.split("--")[0].removeprefix("FAIL").strip() for line in process.stdout.splitlines() if "FAIL" in line
    }
    assert failed == set(), process.stdout + process.stderr
    assert process.stdout.count("\nok ") > 90
