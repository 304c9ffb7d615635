import pytest
from fnkit.testing import call, make_event

from main import heartbeat, hello


def test_hello_greets_by_name() -> None:
    assert call(hello, make_event("/?name=Ada")).json()["message"] == "Hello, Ada!"


def test_heartbeat_says_its_word(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(heartbeat, make_event(json_body={"say": "tick"})).json() == {"said": "tick"}
    assert capsys.readouterr().out == "tick\n"
