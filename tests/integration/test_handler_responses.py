"""HTTP responses to what a handler returns, raises or does to its process, through real instances."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_cases import (
    BROKEN_MODULES,
    FAILED,
    RAISED,
    RAISING_HANDLER,
    RETURNED_VALUES,
    RETURNING_HANDLER,
    UNSERIALIZABLE,
)


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        running.deploy("returns", RETURNING_HANDLER)
        running.deploy("raises", RAISING_HANDLER)
        yield running


@pytest.mark.parametrize(
    ("returned", "status", "body"),
    RETURNED_VALUES,
)
def test_returned_value_becomes_response(plane: DataPlaneProcess, returned: str, status: int, body: bytes) -> None:
    reply = plane.call("returns", f"/{returned}")
    assert (reply.status, reply.body) == (status, body)
    assert reply.headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize("returned", UNSERIALIZABLE)
def test_unserializable_result_returns_500(plane: DataPlaneProcess, returned: str) -> None:
    reply = plane.call("returns", f"/{returned}")
    assert reply.status == 500
    assert reply.body.decode().startswith(FAILED)


def test_response_has_content_type_cors_and_server_headers(plane: DataPlaneProcess) -> None:
    assert plane.call("returns", "/text").headers["Content-Type"] == "text/html; charset=utf-8"
    assert plane.call("returns", "/five").headers["Content-Type"] == "application/json"
    assert plane.call("returns", "/base64").headers["Content-Type"] == "image/png"
    assert plane.call("returns", "/no-headers").headers["Content-Type"] == "text/html; charset=utf-8"
    reply = plane.call("returns", "/odd-headers")
    assert (reply.headers["X-Number"], reply.headers["Access-Control-Allow-Origin"]) == ("", "")
    reply = plane.call("returns", "/document")
    assert reply.headers.get_all("X-A") == ["1", "2"]
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert reply.headers["Server"] == "envoy"


@pytest.mark.parametrize(
    ("case", "message"),
    RAISED,
)
def test_exception_returns_500_with_its_message(plane: DataPlaneProcess, case: str, message: str) -> None:
    reply = plane.call("raises", f"/{case}")
    assert reply.status == 500
    assert reply.body.decode().startswith(FAILED + message)
    assert reply.body.endswith(b"\n")
    assert reply.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert plane.call("raises", "/").body == b"fine"


@pytest.mark.parametrize(("case", "reason"), [("os-exit", "exit 3"), ("kill", "signal"), ("close-all", "")])
def test_exit_during_request_returns_502_and_instance_is_replaced(
    plane: DataPlaneProcess, case: str, reason: str
) -> None:
    reply = plane.call("raises", f"/{case}")
    assert reply.status == 502
    message = reply.json()
    assert isinstance(message, dict)
    assert reason in message["message"]
    assert plane.call("raises", "/").body == b"fine"


def test_closing_stdout_fails_only_that_request(plane: DataPlaneProcess) -> None:
    assert plane.call("raises", "/close-1").status == 500
    assert plane.call("raises", "/").status == 200


def test_running_thread_does_not_block_next_request(plane: DataPlaneProcess) -> None:
    assert plane.call("raises", "/thread").body == b"thread started"
    assert plane.call("raises", "/").body == b"fine"


def test_event_reflects_the_client_request(plane: DataPlaneProcess) -> None:
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
def test_every_http_method_reaches_the_handler(plane: DataPlaneProcess, method: str) -> None:
    plane.deploy(f"method-{method.lower()}", "def handle(event, context):\n    return event['httpMethod']\n")
    reply = plane.call(f"method-{method.lower()}", method=method)
    assert reply.status == 200
    assert reply.body == (b"" if method == "HEAD" else method.encode())
    assert reply.headers["Content-Length"] == str(len(method))


@pytest.mark.parametrize(
    ("source", "message"),
    BROKEN_MODULES,
)
def test_import_error_is_reported_when_function_is_called(
    plane: DataPlaneProcess, source: str, message: str
) -> None:
    route = plane.deploy("broken", source)
    for _ in range(2):
        reply = plane.call("broken")
        assert reply.status == 500
        assert reply.body.decode().startswith(FAILED + message)
    assert any("Error" in line.message or "Exit" in line.message for line in plane.log_lines(route))


def test_handler_module_is_named_by_file_and_imports_from_archive(
    plane: DataPlaneProcess,
) -> None:
    files = {
        "handlers/calendar.py": (
            "import os, dependency, shared.names\n"
            "def show(event, context):\n"
            "    return [__name__, __file__, dependency.NAME, shared.names.NAME, os.getcwd()]\n"
        ),
        "shared/names.py": "NAME = 'shared'\n",
        "package/dependency.py": "NAME = 'dependency'\n",
    }
    plane.deploy("paths", files, handler="handlers/calendar.show")
    assert plane.call("paths").json() == [
        "calendar",
        "/home/app/function/handlers/calendar.py",
        "dependency",
        "shared",
        "/home/app",
    ]


def test_environment_has_only_function_and_runtime_variables(plane: DataPlaneProcess) -> None:
    source = "import os\ndef handle(event, context):\n    return {'body': dict(os.environ)}\n"
    plane.deploy(
        "environment", source, environment={"LEVEL": "info", "SCW_SECRET_KEY": "user-key", "SCW_PUBLIC": "no"}
    )
    found = plane.call("environment").json()
    assert isinstance(found, dict)
    assert (found["LEVEL"], found["SCW_SECRET_KEY"]) == ("info", "user-key")
    assert found["SCW_PUBLIC"] == "true"
    assert found["SCW_APPLICATION_NAME"] == "environment"
    assert found["SCW_HANDLER_PATH"] == "/home/app/function/handler"
    runtime_variables = {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "PORT", "PYTHONPATH", "PYTHONUNBUFFERED", "LEVEL")
    }
    assert {name for name in found if not name.startswith("SCW_")} == runtime_variables


def test_body_at_size_limit_is_accepted_and_returned(plane: DataPlaneProcess) -> None:
    plane.deploy("size", "def handle(event, context):\n    return event['body'] * 2\n")
    body = b"x" * 6291456
    assert plane.call("size", method="POST", body=body).body == body * 2
