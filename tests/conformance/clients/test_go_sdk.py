"""Scaleway's Go SDK, on which the ``scw`` command and the Terraform provider are built."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conformance.clients.packages import client_environment, go_sdk
from tests.conformance.clients.sdk_driver import ARCHIVE, drive
from tests.support.platform import PlatformUnderTest

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(900)]

DRIVER = Path(__file__).parent / "drivers" / "sdk.go"


def test_go_sdk_driver_completes_every_step(platform: PlatformUnderTest, tmp_path: Path) -> None:
    runtime = f"python3{sys.version_info.minor}"
    command = [str(go_sdk(DRIVER)), platform.gateway_url, ARCHIVE, runtime]

    assert len(drive(command, client_environment(platform), tmp_path)) == 11
