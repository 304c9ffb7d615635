"""``fnkit invoke --remote``: the same handler, called where it is deployed."""

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
    return {"seen": {key: event[key] for key in ("httpMethod", "path", "queryStringParameters", "headers", "body")}}


@fnkit.function(privacy="private")
def secluded(event, context):
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


def test_here_and_there_the_handler_sees_the_same_request(deployed: Command) -> None:
    request = ("--path", "/a%20b?q=1&q=2", "--data", '{"a": 1}', "-H", "X-One: 1", "-X", "PUT", "--json")
    here = json.loads(str(deployed("invoke", "echo", *request).ok().json()["body"]))["seen"]
    answer = deployed("invoke", "echo", *request, "--remote", "--local").ok().json()
    there = json.loads(str(answer["body"]))["seen"]
    for key in ("httpMethod", "path", "queryStringParameters", "body"):
        assert there[key] == here[key]
    assert here["headers"].items() <= there["headers"].items(), "the gateway adds its own"
    assert answer["status"] == 200


def test_a_failing_handler_answers_the_same_and_fails_the_run(deployed: Command) -> None:
    here = deployed("invoke", "broken", "--json")
    there = deployed("invoke", "broken", "--json", "--remote", "--local")
    assert (here.code, there.code) == (1, 1)
    assert [there.json()[key] for key in ("status", "body")] == [here.json()[key] for key in ("status", "body")]


def test_it_talks_to_the_platform_through_scaleways_variables_too(
    deployed: Command, platform: PlatformUnderTest
) -> None:
    proxies = {"HTTP_PROXY": "http://127.0.0.1:9", "HTTPS_PROXY": "http://127.0.0.1:9"}
    answer = Command({**deployed.environment, **platform.environment, **proxies})("invoke", "echo", "--remote")
    assert '"path":"/"' in answer.ok().stdout


def test_a_private_function_says_what_opens_it(deployed: Command, platform: PlatformUnderTest) -> None:
    closed = deployed("invoke", "secluded", "--remote", "--local")
    key = f"X-Auth-Token: {platform.environment['SCW_SECRET_KEY']}"
    opened = deployed("invoke", "secluded", "--remote", "--local", "-H", key).ok()

    assert "secluded is private" in closed.stderr
    assert "-H 'X-Auth-Token: …'" in closed.stderr
    assert opened.stdout.strip() == "inside"
    assert "private" not in opened.stderr


def test_what_is_not_deployed_is_told(deployed: Command) -> None:
    done = deployed("invoke", "nobody", "--json", "--remote", "--local")
    error = done.json()["error"]
    assert isinstance(error, dict)
    assert (done.code, error["code"]) == (1, "not-deployed")
