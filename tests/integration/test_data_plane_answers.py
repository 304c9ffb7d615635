"""What a client gets for what a handler returns, raises or does to its process, through real instances."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane

FAILED = "An error occured during handler execution: "

ANSWERS = """
import datetime, os, sys, threading

RETURNS = {
    "text": "hello",
    "document": {"body": {"a": 1}, "statusCode": 201, "headers": {"X-A": ["1", "2"]}},
    "message": {"message": "m"},
    "status": {"statusCode": 404},
    "none": None,
    "five": 5,
    "true": True,
    "tuple": (1, 2),
    "quoted": '"q"',
    "structured-text": '{"statusCode":202,"body":"x"}',
    "bytes": b"x",
    "set": {1},
    "date": datetime.datetime(2026, 1, 1),
    "nan": float("nan"),
    "surrogate": "\\ud800",
    "mixed-keys": {1: "a", "b": 2},
    "base64": {"body": "AAEC/w==", "isBase64Encoded": True, "headers": {"Content-Type": "image/png"}},
}

def handle(event, context):
    return RETURNS[event["path"][1:]]
"""

RAISES = """
import os, signal, sys, threading

def recurse(): return recurse()

def handle(event, context):
    what = event["path"][1:]
    if what == "raise": raise ValueError("boom")
    if what == "empty": raise ValueError
    if what == "key": return {}["missing"]
    if what == "base": raise KeyboardInterrupt("stop")
    if what == "exit": sys.exit("bye")
    if what == "os-exit": os._exit(3)
    if what == "kill": os.kill(os.getpid(), signal.SIGKILL); os.abort()
    if what == "recursion": recurse()
    if what == "unprintable":
        class Bad(Exception):
            def __str__(self): raise RuntimeError
        raise Bad
    if what == "close-1": os.close(1); print("lost"); return "closed"
    if what == "close-all": os.closerange(0, 100); return "never seen"
    if what == "thread":
        threading.Thread(target=lambda: threading.Event().wait(), daemon=False).start()
        return "left behind"
    return "fine"
"""


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.deploy("answers", ANSWERS)
        running.deploy("raises", RAISES)
        yield running


@pytest.mark.parametrize(
    ("returned", "status", "body"),
    [
        ("text", 200, b"hello"),
        ("document", 201, b'{"a":1}'),
        ("message", 200, b'{"message":"m"}\n'),
        ("status", 404, b'{"statusCode":404}\n'),
        ("none", 200, b""),
        ("five", 200, b"5\n"),
        ("true", 200, b"true\n"),
        ("tuple", 200, b"[1,2]\n"),
        ("quoted", 200, b"q"),
        ("structured-text", 202, b"x"),
        ("nan", 200, b"NaN\n"),
        ("mixed-keys", 200, b'{"1":"a","b":2}\n'),
        ("base64", 200, b"\x00\x01\x02\xff"),
    ],
)
def test_a_returned_value_becomes_a_response(
    plane: DataPlaneProcess, returned: str, status: int, body: bytes
) -> None:
    reply = plane.call("answers", f"/{returned}")
    assert (reply.status, reply.body) == (status, body)
    assert reply.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("returned", ["bytes", "set", "date", "surrogate"])
def test_a_value_that_is_no_json_is_a_500(plane: DataPlaneProcess, returned: str) -> None:
    reply = plane.call("answers", f"/{returned}")
    assert reply.status == 500
    assert reply.body.decode().startswith(FAILED)


def test_content_types_headers_and_the_servers_name(plane: DataPlaneProcess) -> None:
    assert plane.call("answers", "/text").headers["Content-Type"] == "text/html; charset=utf-8"
    assert plane.call("answers", "/five").headers["Content-Type"] == "application/json"
    assert plane.call("answers", "/base64").headers["Content-Type"] == "image/png"
    reply = plane.call("answers", "/document")
    assert reply.headers.get_all("X-A") == ["1", "2"]
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["Server"] == "envoy"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("raise", "boom"),
        ("empty", "ValueError"),
        ("key", "'missing'"),
        ("base", "stop"),
        ("exit", "SystemExit: bye"),
        ("recursion", "maximum recursion depth exceeded"),
        ("unprintable", "Bad"),
    ],
)
def test_an_exception_is_a_500_with_its_message(plane: DataPlaneProcess, what: str, message: str) -> None:
    reply = plane.call("raises", f"/{what}")
    assert reply.status == 500
    assert reply.body.decode().startswith(FAILED + message)
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert plane.call("raises", "/").body == b"fine"


@pytest.mark.parametrize(("what", "reason"), [("os-exit", "exit 3"), ("kill", "signal"), ("close-all", "")])
def test_an_instance_that_ends_while_it_answers_is_a_502_and_is_replaced(
    plane: DataPlaneProcess, what: str, reason: str
) -> None:
    reply = plane.call("raises", f"/{what}")
    assert reply.status == 502
    message = reply.json()
    assert isinstance(message, dict)
    assert reason in message["message"]
    assert plane.call("raises", "/").body == b"fine"


def test_a_handler_that_closes_its_stdout_is_told_so_and_answers_on(plane: DataPlaneProcess) -> None:
    assert plane.call("raises", "/close-1").status == 500
    assert plane.call("raises", "/").status == 200


def test_a_thread_left_behind_does_not_hold_the_next_request(plane: DataPlaneProcess) -> None:
    assert plane.call("raises", "/thread").body == b"left behind"
    assert plane.call("raises", "/").body == b"fine"


def test_the_event_arrives_as_the_client_sent_it(plane: DataPlaneProcess) -> None:
    plane.deploy("echo", "def handle(event, context):\n    return {'body': [event, context]}\n")
    reply = plane.call(
        "echo",
        "/a%20b/c?x=1&x=2",
        method="PUT",
        body="é".encode(),
        headers={"x-thing": "7", "X-Forwarded-For": "1.2.3.4", "X-Request-Id": "my-id"},
    )
    event, context = json.loads(reply.body)
    assert event["path"] == "/a b/c"
    assert event["httpMethod"] == event["requestContext"]["httpMethod"] == "PUT"
    assert event["queryStringParameters"] == {"x": "2"}
    assert event["body"] == "é"
    headers = event["headers"]
    assert headers["X-Thing"] == "7"
    assert headers["X-Forwarded-For"] == "1.2.3.4, 127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Request-Id"] == "my-id"
    assert "Host" not in headers
    assert context == {"memoryLimitInMb": 256, "functionName": "echo", "functionVersion": ""}


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "DELETE", "PATCH"])
def test_every_method_reaches_the_handler(plane: DataPlaneProcess, method: str) -> None:
    plane.deploy(f"method-{method.lower()}", "def handle(event, context):\n    return event['httpMethod']\n")
    reply = plane.call(f"method-{method.lower()}", method=method)
    assert reply.status == 200
    assert reply.body == (b"" if method == "HEAD" else method.encode())
    assert reply.headers["Content-Length"] == str(len(method))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import no_such_module\n", "No module named 'no_such_module'"),
        ("raise RuntimeError('at import')\n", "at import"),
        ("x = = 1\n", "invalid syntax"),
        ("import sys; sys.exit(4)\n", "SystemExit: 4"),
        ("handle = 5\n", "Function Handler does not exist, check that you provided the right HANDLER parameter"),
        ("other = 5\n", "Function Handler does not exist"),
    ],
)
def test_a_module_that_cannot_be_used_is_started_and_shows_at_request_time(
    plane: DataPlaneProcess, source: str, message: str
) -> None:
    route = plane.deploy("broken", source)
    for _ in range(2):
        reply = plane.call("broken")
        assert reply.status == 500
        assert reply.body.decode().startswith(FAILED + message)
    assert any("Error" in line.message or "Exit" in line.message for line in plane.log_lines(route))


def test_handlers_are_imported_by_bare_file_name_and_find_the_archives_root_and_package(
    plane: DataPlaneProcess,
) -> None:
    files = {
        "handlers/calendar.py": (
            "import os, dependency, shared.names\n"
            "def say(event, context):\n"
            "    return [__name__, __file__, dependency.NAME, shared.names.NAME, os.getcwd()]\n"
        ),
        "shared/names.py": "NAME = 'shared'\n",
        "package/dependency.py": "NAME = 'dependency'\n",
    }
    plane.deploy("paths", files, handler="handlers/calendar.say")
    assert plane.call("paths").json() == [
        "calendar",
        "/home/app/function/handlers/calendar.py",
        "dependency",
        "shared",
        "/home/app",
    ]


def test_an_environment_is_the_functions_and_nothing_of_ours(plane: DataPlaneProcess) -> None:
    source = "import os\ndef handle(event, context):\n    return {'body': dict(os.environ)}\n"
    plane.deploy(
        "environment", source, environment={"LEVEL": "info", "SCW_SECRET_KEY": "theirs", "SCW_PUBLIC": "no"}
    )
    found = plane.call("environment").json()
    assert isinstance(found, dict)
    assert (found["LEVEL"], found["SCW_SECRET_KEY"]) == ("info", "theirs")
    assert found["SCW_PUBLIC"] == "true"
    assert found["SCW_APPLICATION_NAME"] == "environment"
    assert found["SCW_HANDLER_PATH"] == "/home/app/function/handler"
    ours = {"PATH", "HOME", "LANG", "PORT", "PYTHONPATH", "PYTHONUNBUFFERED", "LEVEL"}
    assert {name for name in found if not name.startswith("SCW_")} == ours


def test_a_body_the_size_of_the_limit_goes_in_and_out(plane: DataPlaneProcess) -> None:
    plane.deploy("size", "def handle(event, context):\n    return event['body'] * 2\n")
    body = b"x" * 6291456
    assert plane.call("size", method="POST", body=body).body == body * 2
