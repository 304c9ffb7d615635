"""``tail`` over a real WebSocket, with a client that is not ours: what is there, then each new line, once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from fnkit.platform.model.log_record import MAX_SEGMENT_BYTES
from tests.support.control_process import ControlProcess, running_control
from tests.support.log_lines import FunctionLogLine, write_log_lines

START = time.time_ns() - 600 * 10**9
ORDERS = '{resource_name="orders"}'


@pytest.fixture
def control(tmp_path: Path) -> Iterator[ControlProcess]:
    with running_control(tmp_path) as process:
        yield process


@pytest.fixture
def orders(control: ControlProcess) -> str:
    return str(control.create_function(control.create_namespace()["id"], "orders")["id"])


def following(control: ControlProcess, key: str | None = None, **parameters: object) -> ClientConnection:
    address = f"ws://127.0.0.1:{control.settings.api_port}/loki/api/v1/tail?{urlencode(parameters)}"
    headers = {"X-Token": control.settings.secret_key if key is None else key}
    return connect(address, additional_headers=headers, proxy=None, max_size=None)


def received(connection: ClientConnection, count: int) -> list[str]:
    """The next lines, in order of their times."""
    values: list[list[str]] = []
    while len(values) < count:
        message = json.loads(connection.recv(timeout=60))
        values += sorted(value for stream in message["streams"] for value in stream["values"])
    return [value[1] for value in values]


def numbered(first: int, last: int) -> list[FunctionLogLine]:
    return [FunctionLogLine(START + n * 10**6, f"line {n}") for n in range(first, last)]


def texts(first: int, last: int) -> list[str]:
    return [f"line {n}" for n in range(first, last)]


def test_the_newest_lines_come_first_and_then_each_new_one(control: ControlProcess, orders: str) -> None:
    home = Path(control.settings.data_dir)
    write_log_lines(home, orders, numbered(0, 50))
    with following(control, query=ORDERS, limit=10) as connection:
        assert received(connection, 10) == texts(40, 50)
        for part in range(50, 90, 10):
            write_log_lines(home, orders, numbered(part, part + 10))
        assert received(connection, 40) == texts(50, 90)


def test_only_what_the_query_lets_stay_comes(control: ControlProcess, orders: str) -> None:
    home = Path(control.settings.data_dir)
    with following(control, query=ORDERS + ' |= "wanted" | json | line_format "{{.text}}"') as connection:
        write_log_lines(
            home, orders, [*numbered(0, 9), FunctionLogLine(START + 10**9, '{"text": "found", "wanted": 1}')]
        )
        assert received(connection, 1) == ["found"]


def test_a_function_that_is_made_meanwhile_is_followed_too(control: ControlProcess, orders: str) -> None:
    home = Path(control.settings.data_dir)
    with following(control, query='{resource_type="serverless_function"}') as connection:
        write_log_lines(home, orders, numbered(0, 1))
        assert received(connection, 1) == texts(0, 1)
        later = str(control.create_function(control.create_namespace("later")["id"], "later")["id"])
        write_log_lines(home, later, numbered(1, 2))
        assert received(connection, 1) == texts(1, 2)


def test_no_line_is_missed_where_a_segment_ends(control: ControlProcess, orders: str) -> None:
    home = Path(control.settings.data_dir)
    count = 2 * MAX_SEGMENT_BYTES // 60_000
    # Those that are written before it looks for the first time are there already: of them it gets the newest.
    with following(control, query=ORDERS, limit=count) as connection:
        write_log_lines(home, orders, [FunctionLogLine(START + n, f"{n} " + "x" * 60_000) for n in range(count)])
        assert [int(text.split()[0]) for text in received(connection, count)] == list(range(count))


def test_a_key_of_one_project_follows_its_own_alone(control: ControlProcess, orders: str) -> None:
    other = "33333333-3333-3333-3333-333333333333"
    theirs = str(
        control.create_function(control.create_namespace("theirs", project_id=other)["id"], "orders")["id"]
    )
    key = str(control.request("POST", "/fnkit/v1/keys", {"project_id": other}).ok()["secret_key"])
    with following(control, key, query=ORDERS) as connection:
        write_log_lines(Path(control.settings.data_dir), orders, numbered(0, 5))
        write_log_lines(Path(control.settings.data_dir), theirs, numbered(5, 6))
        assert received(connection, 1) == texts(5, 6)


@pytest.mark.parametrize(
    ("key", "query", "status"), [("no", ORDERS, 401), (None, "{", 400), (None, "vector(1)", 400)]
)
def test_who_may_not_or_asks_wrongly_is_refused_before_anything(
    control: ControlProcess, key: str | None, query: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as refused, following(control, key, query=query):
        pass
    assert refused.value.response.status_code == status


def test_followers_are_bounded_and_a_place_is_free_again(control: ControlProcess, orders: str) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(following(control, query=ORDERS))
        with pytest.raises(InvalidStatus) as refused, following(control, query=ORDERS):
            pass
        assert b"max concurrent tail requests limit exceeded" in (refused.value.response.body or b"")
    with following(control, query=ORDERS) as connection:
        write_log_lines(Path(control.settings.data_dir), orders, numbered(0, 1))
        assert received(connection, 1) == texts(0, 1)


def test_followers_do_not_keep_the_platform_from_stopping(control: ControlProcess, orders: str) -> None:
    with following(control, query=ORDERS) as connection:
        write_log_lines(Path(control.settings.data_dir), orders, numbered(0, 1))
        received(connection, 1)
        assert control.stop() == 0
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=60)
