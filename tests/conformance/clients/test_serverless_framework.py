"""The Serverless Framework 3 with Scaleway's plugin: deploy, info, invoke, logs, jwt, redeploy, remove."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.clients.packages import client_environment, serverless_framework
from tests.support.platform import PlatformUnderTest, api_get, call_function

pytestmark = [pytest.mark.clients, pytest.mark.slow, pytest.mark.timeout(900)]

PROJECT = Path(__file__).parents[2] / "projects" / "serverless_framework"

Serverless = Callable[..., str]


@pytest.fixture
def namespace(tmp_path: Path) -> str:
    """The name of a new service; ``tmp_path`` contains its project."""
    name = f"sls-{uuid.uuid4().hex[:8]}"
    shutil.copytree(PROJECT, tmp_path, dirs_exist_ok=True)
    settings = tmp_path / "serverless.yml"
    runtime = f"python3{sys.version_info.minor}"
    settings.write_text(settings.read_text().replace("NAMESPACE", name).replace("RUNTIME", runtime))
    return name


@pytest.fixture
def serverless(platform: PlatformUnderTest, tmp_path: Path) -> Serverless:
    """Runs ``serverless`` in the project and returns its output; a nonzero exit code fails the test."""
    packages = serverless_framework() / "node_modules"
    (tmp_path / "node_modules").symlink_to(packages)
    environment = {
        **client_environment(platform),
        "SLS_TELEMETRY_DISABLED": "1",
        "SLS_NOTIFICATIONS_MODE": "off",
        "CI": "true",
    }

    def run(*arguments: str) -> str:
        process = subprocess.run(
            ["node", str(packages / "serverless" / "bin" / "serverless.js"), *arguments],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert process.returncode == 0, process.stdout + process.stderr
        return process.stdout + process.stderr

    return run


def namespaces(platform: PlatformUnderTest, name: str) -> list[dict[str, Any]]:
    found: Any = api_get(platform, f"namespaces?name={name}")
    return list(found["namespaces"])


def functions(platform: PlatformUnderTest, name: str) -> dict[str, dict[str, Any]]:
    (one,) = namespaces(platform, name)
    listed: Any = api_get(platform, f"functions?namespace_id={one['id']}")
    return {function["name"]: function for function in listed["functions"]}


def schedules(platform: PlatformUnderTest, function: dict[str, Any]) -> list[tuple[str, object]]:
    listed: Any = api_get(platform, f"crons?function_id={function['id']}")
    return [(cron["schedule"], cron["args"]) for cron in listed["crons"] if cron["status"] != "deleting"]


def secrets(function: dict[str, Any]) -> dict[str, str]:
    return {secret["key"]: secret["hashed_value"] for secret in function["secret_environment_variables"]}


def test_service_is_deployed_listed_called_and_removed(
    platform: PlatformUnderTest, namespace: str, serverless: Serverless
) -> None:
    output = serverless("deploy")
    deployed = functions(platform, namespace)

    assert "Function hello has been deployed to: https://" in output
    assert {name: function["status"] for name, function in deployed.items()} == {
        "hello": "ready",
        "closed": "ready",
    }
    assert (deployed["hello"]["memory_limit"], deployed["hello"]["handler"]) == (256, "py/handler.hello")
    answer = call_function(platform, deployed["hello"]["domain_name"], "/path")
    assert (answer.status, answer.text) == (200, "hello s3cret everywhere hidden /path")
    closed = deployed["closed"]
    assert call_function(platform, closed["domain_name"]).status == 403
    assert schedules(platform, closed) == [("5 * * * *", {"table": "orders"})]

    shown = serverless("info")
    assert all(function["domain_name"] in shown for function in deployed.values())

    serverless("remove")
    assert namespaces(platform, namespace) == []


def test_second_deploy_applies_changes_and_keeps_unchanged_secrets(
    platform: PlatformUnderTest, tmp_path: Path, namespace: str, serverless: Serverless
) -> None:
    serverless("deploy")
    first = functions(platform, namespace)
    settings = tmp_path / "serverless.yml"
    settings.write_text(settings.read_text().replace("GREETING: hello", "GREETING: changed").replace("5 *", "7 *"))
    serverless("deploy")
    second = functions(platform, namespace)

    assert {name: one["id"] for name, one in second.items()} == {name: one["id"] for name, one in first.items()}
    assert secrets(second["hello"]) == secrets(first["hello"])
    answer = call_function(platform, second["hello"]["domain_name"])
    assert answer.text == "changed s3cret everywhere hidden /"
    assert schedules(platform, second["closed"]) == [("7 * * * *", {"table": "orders"})]

    settings.write_text(settings.read_text().replace("TOKEN: s3cret", "TOKEN: other"))
    serverless("deploy")
    third = functions(platform, namespace)["hello"]
    assert secrets(third) != secrets(second["hello"])
    assert call_function(platform, third["domain_name"]).text == "changed other everywhere hidden /"


def test_jwt_authorizes_private_function_and_logs_show_the_call(
    platform: PlatformUnderTest, namespace: str, serverless: Serverless
) -> None:
    serverless("deploy")
    output = serverless("jwt")
    closed = functions(platform, namespace)["closed"]
    tokens = {word.strip("[]()'\",") for word in output.split() if "eyJ" in word}
    answers = {call_function(platform, closed["domain_name"], headers={"X-Auth-Token": one}).text for one in tokens}

    assert "in" in answers, output
    assert "closed was called" in serverless("logs", "--function", "closed")
