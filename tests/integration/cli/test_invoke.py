"""``fnkit invoke``: a handler called here answers what it would answer on the platform."""

from __future__ import annotations

import json
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
    print("and warned", file=sys.stderr)
    return {"event": event, "context": context, "environment": dict(os.environ), "folder": os.getcwd()}


@fnkit.function(secrets=["DATABASE_URL"])
def secretive(event, context):
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
def gone(event, context):
    os._exit(3)


@fnkit.function(timeout="10s")
def stuck(event, context):
    time.sleep(3600)


@fnkit.function
def unwell(event, context):
    return {"statusCode": 503, "body": "later"}
"""


@pytest.fixture
def shop(project: Path) -> Path:
    (project / "fnkit.toml").write_text('name = "shop"\n')
    (project / "handlers.py").write_text(HANDLERS)
    return project


def _invoke(fnkit: Command, *arguments: str, **variables: str) -> dict[str, object]:
    return Command({**fnkit.environment, **variables})("invoke", *arguments, "--json").json()


def _echoed(fnkit: Command, *arguments: str, **variables: str) -> dict[str, dict[str, object]]:
    answer = _invoke(fnkit, "echo", *arguments, **variables)
    document = json.loads(str(answer["body"]))
    assert isinstance(document, dict)
    return document


@pytest.mark.usefixtures("shop")
def test_the_answer_has_the_promised_keys_and_what_was_printed(fnkit: Command) -> None:
    answer = _invoke(fnkit, "structured")
    assert list(answer) == ["status", "headers", "body", "is_base64", "duration_ms", "logs"]
    assert (answer["status"], answer["body"]) == (201, '{"a":1}')
    assert answer["headers"] == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Headers": "Content-Type",
        "Content-Type": "application/json",
        "X-A": ["1", "2"],
    }
    assert _invoke(fnkit, "echo")["logs"] == ["called", "and warned"]


@pytest.mark.usefixtures("shop")
def test_as_text_the_body_is_stdout_and_all_else_is_stderr(fnkit: Command) -> None:
    done = fnkit("invoke", "structured").ok()
    assert done.stdout == '{"a":1}'
    assert done.stderr.startswith("201 in ")


@pytest.mark.usefixtures("shop")
def test_the_request_becomes_the_event(fnkit: Command) -> None:
    document = _echoed(
        fnkit, "--data", '{"a": 1}', "--path", "/a%20b?q=1&q=2", "-H", "x-one: 1", "-H", "X-One: 2", "-X", "put"
    )
    event = document["event"]
    assert event["httpMethod"] == "PUT"
    assert event["path"] == "/a b"
    assert event["queryStringParameters"] == {"q": "2"}
    assert event["body"] == '{"a": 1}'
    assert event["headers"] == {"Content-Length": "8", "Content-Type": "application/json", "X-One": "1,2"}


@pytest.mark.usefixtures("shop")
def test_without_a_body_it_is_get_with_one_post(fnkit: Command) -> None:
    assert _echoed(fnkit)["event"]["httpMethod"] == "GET"
    assert _echoed(fnkit, "--data", "x y")["event"]["httpMethod"] == "POST"


def test_a_body_may_come_from_a_file_or_standard_input(fnkit: Command, shop: Path) -> None:
    (shop / "body.txt").write_text("from a file")
    assert _echoed(fnkit, "--data", "@body.txt")["event"]["body"] == "from a file"
    done = fnkit("invoke", "echo", "--json", "--data", "@-", stdin="from a pipe")
    assert json.loads(str(done.json()["body"]))["event"]["body"] == "from a pipe"


def test_an_event_file_stands_in_for_the_request(fnkit: Command, shop: Path) -> None:
    event = {"httpMethod": "DELETE", "path": "/x", "queryStringParameters": {"a": "b"}, "body": "hi!", "extra": 1}
    (shop / "event.json").write_text(json.dumps(event))
    seen = _echoed(fnkit, "--event", "event.json")["event"]
    assert {key: seen[key] for key in event} == event
    assert "isBase64Encoded" not in seen


@pytest.mark.usefixtures("shop")
def test_the_context_and_the_environment_are_the_functions_and_nothing_else(fnkit: Command) -> None:
    document = _echoed(fnkit, SCW_SECRET_KEY="the deployer's own", MY_SHELL="zsh")
    assert document["context"] == {"memoryLimitInMb": 256, "functionName": "echo", "functionVersion": ""}
    environment = document["environment"]
    assert environment["LEVEL"] == "info"
    assert environment["SCW_APPLICATION_NAME"] == "echo"
    assert "MY_SHELL" not in environment
    assert "SCW_SECRET_KEY" not in environment


def test_the_working_folder_is_not_the_codes(fnkit: Command, shop: Path) -> None:
    folder = Path(str(_echoed(fnkit)["folder"]))
    assert folder != shop
    assert not folder.exists(), "it is removed at the end"


def test_secrets_come_from_the_environment_or_a_file(fnkit: Command, shop: Path) -> None:
    assert _invoke(fnkit, "secretive", DATABASE_URL="abc")["body"] == "cba"
    (shop / ".env").write_text("DATABASE_URL=xyz\n")
    assert _invoke(fnkit, "secretive")["body"] == "zyx"


@pytest.mark.usefixtures("shop")
def test_a_missing_secret_is_a_problem_of_this_function_alone(fnkit: Command) -> None:
    done = fnkit("invoke", "secretive", "--json")
    assert done.code == 2
    assert "DATABASE_URL" in done.stdout
    fnkit("invoke", "structured").ok()


@pytest.mark.usefixtures("shop")
def test_a_body_that_is_no_text_is_base64_in_json(fnkit: Command) -> None:
    answer = _invoke(fnkit, "binary")
    assert (answer["body"], answer["is_base64"]) == ("/////w==", True)


@pytest.mark.usefixtures("shop")
def test_a_handler_that_raises_is_a_500_a_log_and_a_failed_run(fnkit: Command) -> None:
    done = fnkit("invoke", "broken", "--json")
    answer = done.json()
    assert (done.code, answer["status"]) == (1, 500)
    assert "no such order" in str(answer["body"])
    assert isinstance(answer["logs"], list)
    assert answer["logs"][-1] == "ValueError: no such order"


@pytest.mark.usefixtures("shop")
def test_every_status_from_500_fails_the_run(fnkit: Command) -> None:
    assert fnkit("invoke", "unwell").code == 1


@pytest.mark.usefixtures("shop")
def test_a_handler_that_ends_its_process_is_a_500(fnkit: Command) -> None:
    done = fnkit("invoke", "gone", "--json")
    assert (done.code, done.json()["status"]) == (1, 500)


@pytest.mark.slow
@pytest.mark.usefixtures("shop")
def test_a_handler_that_hangs_is_ended_at_its_timeout(fnkit: Command) -> None:
    done = fnkit("invoke", "stuck", "--json")
    assert (done.code, done.json()["status"]) == (1, 504)


def test_a_module_that_cannot_be_imported_is_a_500_with_the_reason(fnkit: Command, shop: Path) -> None:
    (shop / "handlers.py").write_text(
        "import nothing_of_that_name\nimport fnkit\n\n@fnkit.function\ndef a(e, c): ...\n"
    )
    done = fnkit("invoke", "a", "--json")
    assert (done.code, done.json()["status"]) == (1, 500)
    assert "nothing_of_that_name" in str(done.json()["body"])


@pytest.mark.usefixtures("shop")
def test_what_the_platform_answers_by_itself_never_reaches_the_handler(fnkit: Command) -> None:
    answer = _invoke(fnkit, "broken", "--path", "/favicon.ico")
    assert (answer["status"], answer["body"], answer["logs"]) == (404, "", [])


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("nobody",), "no-function"),
        (("echo", "-H", "no colon"), "bad-header"),
        (("echo", "-H", "X: a\r\nY: b"), "bad-header"),
        (("echo", "--event", "/no/such/file"), "unreadable-file"),
        (("echo", "--data", "@/no/such/file"), "unreadable-file"),
        (("echo", "--path", "/%zz"), "bad-path"),
        (("echo", "--event", "handlers.py"), "bad-event"),
    ],
)
def test_wrong_use_is_told_apart(arguments: tuple[str, ...], code: str, fnkit: Command) -> None:
    done = fnkit("invoke", *arguments, "--json")
    error = done.json()["error"]
    assert isinstance(error, dict)
    assert (done.code, error["code"]) == (2, code)
