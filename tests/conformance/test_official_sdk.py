"""Scaleway's own Python SDK, unchanged, against our platform."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.conformance_data import conformance_directory
from tests.support.platform import PlatformUnderTest

_CLIENTS = Path.home() / ".cache" / "fnkit-clients"  # read before the tests move HOME: the SDK is kept between runs


@pytest.mark.conformance
@pytest.mark.timeout(400)
def test_the_official_sdk_is_served(platform: PlatformUnderTest) -> None:
    driver = conformance_directory() / "clients" / "drive_sdk_py.py"
    done = subprocess.run(
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
        line.split("--")[0].removeprefix("FAIL").strip() for line in done.stdout.splitlines() if "FAIL" in line
    }
    assert failed == set(), done.stdout + done.stderr
    assert done.stdout.count("\nok ") > 90
