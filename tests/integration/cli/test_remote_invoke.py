"""``fnkit invoke --remote`` calls the deployed function, with the results of a local call."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.control_process import API, api_client
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
    print("before", event["path"])
    raise ValueError("no such order")


@fnkit.cron("0 0 1 1 *", name="nightly", args={"full": False})
@fnkit.function
def report(event, context):
    print("args", event["httpMethod"], event["headers"]["Content-Type"])
    return event["body"]
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


def test_private_function_is_called_with_a_token_that_is_shown_nowhere_and_deleted(
    deployed: Command, platform: PlatformUnderTest
) -> None:
    api = api_client(platform)
    found = deployed("invoke", "internal", "--remote", "--local", "-v").ok()
    assert found.stdout.strip() == "inside"
    assert platform.secret_key not in found.stdout + found.stderr
    assert "eyJ" not in found.stdout + found.stderr, "no JSON Web Token"
    functions = api.request("GET", f"{API}/functions", query={"name": "internal"}).ok()["functions"]
    assert isinstance(functions, list)
    for one in functions:
        tokens = api.request("GET", f"{API}/tokens", query={"function_id": one["id"]}).ok()["tokens"]
        assert tokens == []


def test_read_only_key_calls_a_private_function(deployed: Command, platform: PlatformUnderTest) -> None:
    created = deployed("platform", "api-key", "create", "--read-only", "--json").ok().json()
    environment = {**platform.environment, "SCW_SECRET_KEY": str(created["secret_key"])}
    found = Command({**deployed.environment, **environment})("invoke", "internal", "--remote").ok()
    assert found.stdout.strip() == "inside"


@pytest.mark.long
def test_credentials_of_the_request_are_used_as_they_are(deployed: Command, platform: PlatformUnderTest) -> None:
    wrong = deployed("invoke", "internal", "--remote", "--local", "-H", "X-Auth-Token: wrong")
    right = deployed("invoke", "internal", "--remote", "--local", "-H", f"X-Auth-Token: {platform.secret_key}").ok()
    assert "internal is private and rejects the credentials in the request" in wrong.stderr
    assert right.stdout.strip() == "inside"


def test_remote_call_shows_the_lines_of_its_own_request_and_ends_with_the_logs_command(deployed: Command) -> None:
    deployed("invoke", "broken", "--remote", "--local", "--path", "/other")
    failed = deployed("invoke", "broken", "--remote", "--local", "--path", "/mine")
    lines = failed.stderr.splitlines()
    assert lines[0] == "before /mine"
    assert "ValueError: no such order" in lines
    assert lines[-1] == "Its logs: `fnkit logs broken --since 5m --local`"
    assert "/other" not in failed.stderr
    assert failed.code == 1
    command = lines[-1].removeprefix("Its logs: `fnkit ").removesuffix("`").split()
    assert "before /other" in deployed(*command).ok().stdout

    document = deployed("invoke", "broken", "--remote", "--local", "--json").json()
    assert isinstance(document["logs"], list)
    assert document["logs"][0] == "before /"


@pytest.mark.long
def test_function_with_a_cron_gets_the_request_of_its_cron_here_and_there(deployed: Command) -> None:
    for where in ((), ("--remote", "--local")):
        result = deployed("invoke", "report", *where).ok()
        assert result.stdout.strip() == '{"full":false}'
        assert "Sending the request of cron nightly." in result.stderr
        assert "args POST application/json" in result.stderr
        other = deployed("invoke", "report", "--data", "{}", *where).ok()
        assert other.stdout.strip() == "{}"
        assert "cron" not in other.stderr


def test_cron_run_shows_the_lines_of_its_run(deployed: Command) -> None:
    run = deployed("cron", "run", "nightly", "--local").ok()
    assert run.stderr.splitlines() == ["args POST application/json"]
    assert deployed("cron", "run", "nightly", "--local", "--json").ok().json()["logs"] == [
        "args POST application/json"
    ]


@pytest.mark.long
def test_events_and_recorded_deliveries_are_invoked_here_and_there(deployed: Command) -> None:
    event = deployed("event", "cron", "nightly").ok().stdout
    assert json.loads(event)["headers"]["User-Agent"] == "ScalewayServerlessOrchestrator/1.0"
    deployed("cron", "run", "nightly", "--local").ok()
    recorded = deployed("cron", "history", "nightly", "--local", "--limit", "1", "--json").ok().stdout
    for where in ((), ("--remote", "--local")):
        for document in (event, recorded):
            found = deployed("invoke", "report", "--event", "-", *where, stdin=document).ok()
            assert found.stdout.strip() == '{"full":false}'

    request = ("--path", "/a%20b?q=1", "--data", "é", "-H", "X-One: 1", "-X", "PUT")
    event = deployed("event", "http", *request).ok().stdout
    for where in ((), ("--remote", "--local")):
        found = deployed("invoke", "echo", "--event", "-", *where, stdin=event).ok()
        received = json.loads(found.stdout)["received"]
        sent = json.loads(event)
        assert [received[key] for key in ("httpMethod", "path", "queryStringParameters", "body")] == [
            sent[key] for key in ("httpMethod", "path", "queryStringParameters", "body")
        ]
        assert received["headers"]["X-One"] == "1"


def test_remote_call_of_undeployed_function_is_an_error(deployed: Command) -> None:
    result = deployed("invoke", "unknown", "--json", "--remote", "--local")
    error = result.json()["error"]
    assert isinstance(error, dict)
    assert (result.code, error["code"]) == (1, "not-deployed")
