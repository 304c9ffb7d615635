"""Scaleway's JavaScript SDK on Node."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.conformance.clients.packages import client_environment, javascript_sdk
from tests.conformance.clients.sdk_driver import ARCHIVE, drive
from tests.support.platform import PlatformUnderTest
from tests.support.sqs_servers import running_sqs

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(900)]

DRIVER = Path(__file__).parent / "drivers" / "sdk.mjs"


def test_javascript_sdk_driver_completes_every_step(platform: PlatformUnderTest, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(javascript_sdk() / "node_modules")
    shutil.copy(DRIVER, tmp_path)
    runtime = f"python3{sys.version_info.minor}"
    with running_sqs("moto") as server:
        queue_url = server.client().create_queue(QueueName="q")["QueueUrl"]
        command = ["node", DRIVER.name, platform.gateway_url, ARCHIVE, runtime, server.endpoint, queue_url]
        steps = drive(command, client_environment(platform), tmp_path)

    assert len(steps) == 12
