import main
import pytest

from fnkit.testing import call, make_event


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "STATE", tmp_path / "state.json")


def test_target_that_nobody_serves_is_zero():
    event = make_event(json_body={"targets": {"nobody": "http://127.0.0.1:9/"}})
    assert call(main.check, event).json() == {"nobody": 0}


def test_two_of_three_calls_fail(monkeypatch):
    monkeypatch.setattr(main, "calls", 0)
    assert [call(main.flaky, make_event()).status for _ in range(3)] == [503, 503, 200]
