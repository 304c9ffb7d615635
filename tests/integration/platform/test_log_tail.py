"""Loki's ``tail`` endpoint with an independent WebSocket client: recent lines, then each new line once."""

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


def tail(control: ControlProcess, key: str | None = None, **parameters: object) -> ClientConnection:
    address = f"ws://127.0.0.1:{control.settings.api_port}/loki/api/v1/tail?{urlencode(parameters)}"
    headers = {"X-Token": control.settings.secret_key if key is None else key}
    return connect(address, additional_headers=headers, proxy=None, max_size=None)


def receive_lines(connection: ClientConnection, count: int) -> list[str]:
    """Return the next lines, ordered by time within each message."""
    values: list[list[str]] = []
    while len(values) < count:
        message = json.loads(connection.recv(timeout=60))
        values += sorted(value for stream in message["streams"] for value in stream["values"])
    return [value[1] for value in values]


def numbered(first: int, last: int) -> list[FunctionLogLine]:
    return [FunctionLogLine(START + n * 10**6, f"line {n}") for n in range(first, last)]


def texts(first: int, last: int) -> list[str]:
    return [f"line {n}" for n in range(first, last)]


def test_tail_sends_newest_lines_and_then_new_ones(control: ControlProcess, orders: str) -> None:
    home = Path(control.settings.data_dir)
    write_log_lines(home, orders, numbered(0, 50))
    with tail(control, query=ORDERS, limit=10) as connection:
        assert receive_lines(connection, 10) == texts(40, 50)
        for part in range(50, 90, 10):
            write_log_lines(home, orders, numbered(part, part + 10))
        assert receive_lines(connection, 40) == texts(50, 90)


def test_tail_sends_requests_before_their_output(control: ControlProcess, orders: str) -> None:
    home = Path(control.settings.data_dir)
    with tail(control, query=ORDERS) as connection:
        for number in range(3):
            lines = [FunctionLogLine(START, f"/{number}", "requests"), FunctionLogLine(START, f"out {number}")]
            write_log_lines(home, orders, lines)
        expected = [text for n in range(3) for text in (f"Function Triggered: /{n}", f"out {n}")]
        assert receive_lines(connection, 6) == expected


def test_tail_sends_only_lines_that_match_the_query(control: ControlProcess, orders: str) -> None:
    home = Path(control.settings.data_dir)
    with tail(control, query=ORDERS + ' |= "wanted" | json | line_format "{{.text}}"') as connection:
        write_log_lines(
            home, orders, [*numbered(0, 9), FunctionLogLine(START + 10**9, '{"text": "found", "wanted": 1}')]
        )
        assert receive_lines(connection, 1) == ["found"]


def test_tail_includes_functions_created_later(control: ControlProcess, orders: str) -> None:
    home = Path(control.settings.data_dir)
    with tail(control, query='{resource_type="serverless_function"}') as connection:
        write_log_lines(home, orders, numbered(0, 1))
        assert receive_lines(connection, 1) == texts(0, 1)
        later = str(control.create_function(control.create_namespace("later")["id"], "later")["id"])
        write_log_lines(home, later, numbered(1, 2))
        assert receive_lines(connection, 1) == texts(1, 2)


@pytest.mark.long
def test_tail_misses_no_line_at_a_segment_boundary(control: ControlProcess, orders: str) -> None:
    home = Path(control.settings.data_dir)
    count = 2 * MAX_SEGMENT_BYTES // 60_000
    # Lines written before the first poll count as recent lines, of which only the newest ``limit`` are sent.
    with tail(control, query=ORDERS, limit=count) as connection:
        write_log_lines(home, orders, [FunctionLogLine(START + n, f"{n} " + "x" * 60_000) for n in range(count)])
        assert [int(text.split()[0]) for text in receive_lines(connection, count)] == list(range(count))


def test_tail_with_project_key_sends_only_lines_of_its_project(control: ControlProcess, orders: str) -> None:
    other_project = "33333333-3333-3333-3333-333333333333"
    foreign = str(
        control.create_function(control.create_namespace("foreign", project_id=other_project)["id"], "orders")["id"]
    )
    key = str(control.request("POST", "/fnkit/v1/keys", {"project_id": other_project}).ok()["secret_key"])
    with tail(control, key, query=ORDERS) as connection:
        write_log_lines(Path(control.settings.data_dir), orders, numbered(0, 5))
        write_log_lines(Path(control.settings.data_dir), foreign, numbered(5, 6))
        assert receive_lines(connection, 1) == texts(5, 6)


@pytest.mark.parametrize(
    ("key", "query", "status"), [("no", ORDERS, 401), (None, "{", 400), (None, "vector(1)", 400)]
)
def test_tail_handshake_rejects_invalid_keys_and_queries(
    control: ControlProcess, key: str | None, query: str, status: int
) -> None:
    with pytest.raises(InvalidStatus) as raised, tail(control, key, query=query):
        pass
    assert raised.value.response.status_code == status


def test_tail_connections_are_limited_and_closing_frees_a_slot(control: ControlProcess, orders: str) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            stack.enter_context(tail(control, query=ORDERS))
        with pytest.raises(InvalidStatus) as raised, tail(control, query=ORDERS):
            pass
        assert b"max concurrent tail requests limit exceeded" in (raised.value.response.body or b"")
    with tail(control, query=ORDERS) as connection:
        write_log_lines(Path(control.settings.data_dir), orders, numbered(0, 1))
        assert receive_lines(connection, 1) == texts(0, 1)


def test_open_tail_connection_does_not_block_shutdown(control: ControlProcess, orders: str) -> None:
    with tail(control, query=ORDERS) as connection:
        write_log_lines(Path(control.settings.data_dir), orders, numbered(0, 1))
        receive_lines(connection, 1)
        assert control.stop() == 0
        with pytest.raises(ConnectionClosed):
            connection.recv(timeout=60)
