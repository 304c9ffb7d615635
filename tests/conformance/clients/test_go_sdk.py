"""Scaleway's Go SDK: what the ``scw`` command and the Terraform provider are built on."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.conformance.clients.driving import ARCHIVE, drive
from tests.conformance.clients.installing import client_environment, go_sdk
from tests.support.platform import PlatformUnderTest

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(900)]

DRIVER = Path(__file__).parent / "drivers" / "sdk.go"


def test_the_go_sdk_is_served(platform: PlatformUnderTest, tmp_path: Path) -> None:
    runtime = f"python3{sys.version_info.minor}"
    command = [str(go_sdk(DRIVER)), platform.gateway_url, ARCHIVE, runtime]

    assert len(drive(command, client_environment(platform), tmp_path)) == 11
