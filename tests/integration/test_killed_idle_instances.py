"""Idle instances that are killed: a request that arrives at the same moment goes to another one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.isolation_levels import user_parameters
from tests.support.processes import is_alive
from tests.support.waiting import wait_until

USER = 54325
HANDLER = "def handle(event, context):\n    return 'answered'\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: killed.test\r\n\r\n"


@pytest.fixture(scope="module", params=user_parameters(USER))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, isolation = request.param
    with running_data_plane(user=user, isolation=isolation) as plane:
        yield plane


@contextlib.contextmanager
def stopped(plane: DataPlaneProcess) -> Iterator[None]:
    """Stop the data plane: it learns at once, later, of all that happens meanwhile."""
    os.kill(plane.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(plane.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("is_request_first", [False, True], ids=["end first", "request first"])
def test_request_meets_the_end_of_the_idle_instance(plane: DataPlaneProcess, *, is_request_first: bool) -> None:
    plane.deploy("killed", HANDLER, max_scale=1)
    with plane.connect() as client:
        client.sendall(REQUEST)  # over a connection that stays open, so that the next request is one event
        assert_answered(client)
        with stopped(plane):
            if is_request_first:
                client.sendall(REQUEST)
            kill(plane.instances())
            if not is_request_first:
                client.sendall(REQUEST)
        assert_answered(client)


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, pids)), what="the end of the instances")


def assert_answered(client: socket.socket) -> None:
    answer = b""
    while not answer.endswith(b"\r\n\r\nanswered"):
        part = client.recv(65536)
        assert part, answer
        assert b'"message"' not in part, part
        answer += part
