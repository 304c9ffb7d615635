import json

import pytest
from fnkit import Context, Event

from main import heartbeat, hello

CONTEXT: Context = {"memoryLimitInMb": 128, "functionName": "hello", "functionVersion": ""}


def event(method: str, query: dict[str, str] | None = None, body: str = "") -> Event:
    return {"httpMethod": method, "path": "/", "headers": {}, "queryStringParameters": query or {}, "body": body}


def test_hello_greets_by_name() -> None:
    answer = hello(event("GET", {"name": "Ada"}), CONTEXT)
    assert json.loads(answer["body"])["message"] == "Hello, Ada!"


def test_heartbeat_says_its_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert heartbeat(event("POST", body='{"say": "tick"}'), CONTEXT) == {"said": "tick"}
    assert capsys.readouterr().out == "tick\n"
