"""``fnkit invoke --remote`` calls the deployed function, with the results of a local call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.platform import PlatformUnderTest

pytestmark = pytest.mark.slow

HANDLER = """
import fnkit


@fnkit.function
def echo(event, context):
    keys = ("httpMethod", "path", "queryStringParameters", "headers", "body")
    return {"received": {key: event[key] for key in keys}}


@fnkit.function(privacy="private")
def internal(event, context):
    return "inside"


@fnkit.function
def broken(event, context):
    raise ValueError("no such order")
"""


@pytest.fixture
def deployed(platform: PlatformUnderTest, project: Path) -> Command:
    (project / "fnkit.toml").write_text('name = "remote-invoke"\n')
    (project / "handlers.py").write_text(HANDLER)
    fnkit = platform.command
    fnkit("deploy", "--local", "--yes").ok()
    return fnkit


def test_local_and_remote_handlers_get_the_same_request(deployed: Command) -> None:
    request = ("--path", "/a%20b?q=1&q=2", "--data", '{"a": 1}', "-H", "X-One: 1", "-X", "PUT", "--json")
    local = json.loads(str(deployed("invoke", "echo", *request).ok().json()["body"]))["received"]
    response = deployed("invoke", "echo", *request, "--remote", "--local").ok().json()
    remote = json.loads(str(response["body"]))["received"]
    for key in ("httpMethod", "path", "queryStringParameters", "body"):
        assert remote[key] == local[key]
    assert local["headers"].items() <= remote["headers"].items(), "the gateway adds headers"
    assert response["status"] == 200


def test_failing_handler_gives_same_response_and_exit_code_remotely(deployed: Command) -> None:
    local = deployed("invoke", "broken", "--json")
    remote = deployed("invoke", "broken", "--json", "--remote", "--local")
    assert (local.code, remote.code) == (1, 1)
    assert [remote.json()[key] for key in ("status", "body")] == [local.json()[key] for key in ("status", "body")]


def test_scaleway_variables_select_the_platform_and_proxies_are_bypassed(
    deployed: Command, platform: PlatformUnderTest
) -> None:
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    response = Command({**deployed.environment, **platform.environment, **proxies})("invoke", "echo", "--remote")
    assert '"path":"/"' in response.ok().stdout


def test_private_function_error_names_the_auth_header(deployed: Command, platform: PlatformUnderTest) -> None:
    without_key = deployed("invoke", "internal", "--remote", "--local")
    key = f"X-Auth-Token: {platform.environment['SCW_SECRET_KEY']}"
    with_key = deployed("invoke", "internal", "--remote", "--local", "-H", key).ok()

    assert "internal is private" in without_key.stderr
    assert "-H 'X-Auth-Token: …'" in without_key.stderr
    assert with_key.stdout.strip() == "inside"
    assert "private" not in with_key.stderr


def test_remote_call_of_undeployed_function_is_an_error(deployed: Command) -> None:
    result = deployed("invoke", "unknown", "--json", "--remote", "--local")
    error = result.json()["error"]
    assert isinstance(error, dict)
    assert (result.code, error["code"]) == (1, "not-deployed")
