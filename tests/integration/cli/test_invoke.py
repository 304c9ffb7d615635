"""``fnkit invoke`` calls a handler locally, with the requests and responses of the platform."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tests.support.command import Command

HANDLERS = """
import os
import sys
import time

import fnkit


@fnkit.function(env={"LEVEL": "info"})
def echo(event, context):
    print("called")
    print("warned", file=sys.stderr)
    return {"event": event, "context": context, "environment": dict(os.environ), "folder": os.getcwd()}


@fnkit.function(secrets=["DATABASE_URL"])
def with_secret(event, context):
    return os.environ["DATABASE_URL"][::-1]


@fnkit.function
def structured(event, context):
    return {"statusCode": 201, "headers": {"X-A": ["1", "2"]}, "body": {"a": 1}}


@fnkit.function
def binary(event, context):
    return {"isBase64Encoded": True, "body": "/////w=="}


@fnkit.function
def broken(event, context):
    raise ValueError("no such order")


@fnkit.function
def exits(event, context):
    os._exit(3)


@fnkit.function(timeout="10s")
def hangs(event, context):
    time.sleep(3600)


@fnkit.function(memory=128)
def hog(event, context):
    return str(len(b"x" * int(event["body"])))


@fnkit.function
def unavailable(event, context):
    return {"statusCode": 503, "body": "later"}
"""


@pytest.fixture
def shop(project: Path) -> Path:
    (project / "fnkit.toml").write_text('name = "shop"\n')
    (project / "handlers.py").write_text(HANDLERS)
    return project


def _invoke(fnkit: Command, *arguments: str, **variables: str) -> dict[str, object]:
    return Command({**fnkit.environment, **variables})("invoke", *arguments, "--json").json()


def _echo(fnkit: Command, *arguments: str, **variables: str) -> dict[str, dict[str, object]]:
    response = _invoke(fnkit, "echo", *arguments, **variables)
    document = json.loads(str(response["body"]))
    assert isinstance(document, dict)
    return document


@pytest.mark.usefixtures("shop")
def test_json_result_has_documented_keys_and_captured_logs(fnkit: Command) -> None:
    response = _invoke(fnkit, "structured")
    assert list(response) == ["status", "headers", "body", "is_base64", "duration_ms", "memory_bytes", "logs"]
    assert (response["status"], response["body"]) == (201, '{"a":1}')
    assert response["headers"] == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Headers": "Content-Type",
        "Content-Type": "application/json",
        "X-A": ["1", "2"],
    }
    assert _invoke(fnkit, "echo")["logs"] == ["called", "warned"]


@pytest.mark.usefixtures("shop")
def test_text_result_is_body_on_stdout_and_summary_on_stderr(fnkit: Command) -> None:
    result = fnkit("invoke", "structured").ok()
    assert result.stdout == '{"a":1}'
    assert result.stderr.startswith("201 in ")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak of a process")
@pytest.mark.usefixtures("shop")
def test_use_of_more_memory_than_the_function_has_is_a_warning(fnkit: Command) -> None:
    modest = fnkit("invoke", "hog", "--data", "1000").ok()
    assert "warning" not in modest.stderr
    greedy = fnkit("invoke", "hog", "--data", str(160 * 2**20)).ok()
    warning = re.search(r"(?m)^warning: hog used (\d+) MB, more than its 128 MB\. Deployed", greedy.stderr)
    assert warning is not None
    assert 160 <= int(warning[1]) < 250
    used = _invoke(fnkit, "hog", "--data", str(160 * 2**20))["memory_bytes"]
    assert isinstance(used, int)
    assert used > 160 * 2**20


@pytest.mark.usefixtures("shop")
def test_request_options_become_the_event(fnkit: Command) -> None:
    document = _echo(
        fnkit, "--data", '{"a": 1}', "--path", "/a%20b?q=1&q=2", "-H", "x-one: 1", "-H", "X-One: 2", "-X", "put"
    )
    event = document["event"]
    assert event["httpMethod"] == "PUT"
    assert event["path"] == "/a b"
    assert event["queryStringParameters"] == {"q": "2"}
    assert event["body"] == '{"a": 1}'
    assert event["headers"] == {"Content-Length": "8", "Content-Type": "application/json", "X-One": "1,2"}


@pytest.mark.usefixtures("shop")
def test_default_method_is_get_without_body_and_post_with_body(fnkit: Command) -> None:
    assert _echo(fnkit)["event"]["httpMethod"] == "GET"
    assert _echo(fnkit, "--data", "x y")["event"]["httpMethod"] == "POST"


def test_body_can_be_read_from_file_or_stdin(fnkit: Command, shop: Path) -> None:
    (shop / "body.txt").write_text("from a file")
    assert _echo(fnkit, "--data", "@body.txt")["event"]["body"] == "from a file"
    result = fnkit("invoke", "echo", "--json", "--data", "@-", stdin="from a pipe")
    assert json.loads(str(result.json()["body"]))["event"]["body"] == "from a pipe"


def test_event_file_replaces_the_request(fnkit: Command, shop: Path) -> None:
    event = {"httpMethod": "DELETE", "path": "/x", "queryStringParameters": {"a": "b"}, "body": "hi!", "extra": 1}
    (shop / "event.json").write_text(json.dumps(event))
    received = _echo(fnkit, "--event", "event.json")["event"]
    assert {key: received[key] for key in event} == event
    assert "isBase64Encoded" not in received


@pytest.mark.usefixtures("shop")
def test_handler_gets_only_its_own_context_and_environment(fnkit: Command) -> None:
    document = _echo(fnkit, SCW_SECRET_KEY="the-callers-own", MY_SHELL="zsh")
    assert document["context"] == {"memoryLimitInMb": 256, "functionName": "echo", "functionVersion": ""}
    environment = document["environment"]
    assert environment["LEVEL"] == "info"
    assert environment["SCW_APPLICATION_NAME"] == "echo"
    assert "MY_SHELL" not in environment
    assert "SCW_SECRET_KEY" not in environment


def test_working_directory_is_temporary(fnkit: Command, shop: Path) -> None:
    folder = Path(str(_echo(fnkit)["folder"]))
    assert folder != shop
    assert not folder.exists(), "the directory is removed after the call"


def test_secrets_are_read_from_environment_or_env_file(fnkit: Command, shop: Path) -> None:
    assert _invoke(fnkit, "with-secret", DATABASE_URL="abc")["body"] == "cba"
    (shop / ".env").write_text("DATABASE_URL=xyz\n")
    assert _invoke(fnkit, "with-secret")["body"] == "zyx"


@pytest.mark.usefixtures("shop")
def test_missing_secret_fails_only_the_function_that_needs_it(fnkit: Command) -> None:
    result = fnkit("invoke", "with-secret", "--json")
    assert result.code == 2
    assert "DATABASE_URL" in result.stdout
    fnkit("invoke", "structured").ok()


@pytest.mark.usefixtures("shop")
def test_binary_body_is_base64_in_json(fnkit: Command) -> None:
    response = _invoke(fnkit, "binary")
    assert (response["body"], response["is_base64"]) == ("/////w==", True)


@pytest.mark.usefixtures("shop")
def test_handler_exception_gives_status_500_log_and_exit_code_1(fnkit: Command) -> None:
    result = fnkit("invoke", "broken", "--json")
    response = result.json()
    assert (result.code, response["status"]) == (1, 500)
    assert "no such order" in str(response["body"])
    assert isinstance(response["logs"], list)
    assert response["logs"][-1] == "ValueError: no such order"


@pytest.mark.usefixtures("shop")
def test_server_error_status_gives_exit_code_1(fnkit: Command) -> None:
    assert fnkit("invoke", "unavailable").code == 1


@pytest.mark.usefixtures("shop")
def test_handler_process_exit_gives_status_500(fnkit: Command) -> None:
    result = fnkit("invoke", "exits", "--json")
    assert (result.code, result.json()["status"]) == (1, 500)


@pytest.mark.long
@pytest.mark.usefixtures("shop")
def test_handler_timeout_gives_status_504(fnkit: Command) -> None:
    result = fnkit("invoke", "hangs", "--json")
    assert (result.code, result.json()["status"]) == (1, 504)


def test_import_error_gives_status_500_with_the_reason(fnkit: Command, shop: Path) -> None:
    (shop / "handlers.py").write_text(
        "import nothing_of_that_name\nimport fnkit\n\n@fnkit.function\ndef a(e, c): ...\n"
    )
    result = fnkit("invoke", "a", "--json")
    assert (result.code, result.json()["status"]) == (1, 500)
    assert "nothing_of_that_name" in str(result.json()["body"])


@pytest.mark.usefixtures("shop")
def test_favicon_request_does_not_reach_the_handler(fnkit: Command) -> None:
    response = _invoke(fnkit, "broken", "--path", "/favicon.ico")
    assert (response["status"], response["body"], response["logs"]) == (404, "", [])


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("unknown",), "no-function"),
        (("echo", "-H", "no colon"), "bad-header"),
        (("echo", "-H", "X: a\r\nY: b"), "bad-header"),
        (("echo", "--event", "/no/such/file"), "unreadable-file"),
        (("echo", "--data", "@/no/such/file"), "unreadable-file"),
        (("echo", "--path", "/%zz"), "bad-path"),
        (("echo", "--event", "handlers.py"), "bad-event"),
    ],
)
def test_usage_error_has_a_specific_code(arguments: tuple[str, ...], code: str, fnkit: Command) -> None:
    result = fnkit("invoke", *arguments, "--json")
    error = result.json()["error"]
    assert isinstance(error, dict)
    assert (result.code, error["code"]) == (2, code)
