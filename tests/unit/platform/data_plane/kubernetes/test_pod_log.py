"""What the lines of a Pod's log become in the log of the function."""

from __future__ import annotations

import pytest

from fnkit.platform.data_plane.kubernetes.pod_log import parse_line


@pytest.mark.parametrize(
    ("line", "parsed"),
    [
        (b"stdout 7f3e hello  world", ("stdout", "7f3e", b"hello  world")),
        (b"stderr - Traceback", ("stderr", "", b"Traceback")),
        (b"stdout 7f3e ", ("stdout", "7f3e", b"")),
        (b"exec /python: no such file", ("stderr", "", b"exec /python: no such file")),
        (
            b"system - fnkit: the worker ended: it sent data without a request",
            ("system", "", b"the worker ended: it sent data without a request"),
        ),
    ],
)
def test_line_has_stream_request_and_message(line: bytes, parsed: tuple[str, str, bytes]) -> None:
    assert parse_line(line) == parsed


@pytest.mark.parametrize("end", [b"the worker ended: exit 3", b"the worker ended before it was ready: exit 7"])
def test_exit_status_is_not_logged_again(end: bytes) -> None:
    assert parse_line(b"system - fnkit: " + end)[0] is None
    assert parse_line(b"system - fnkit: the worker ended: killed by signal 9")[0] is None
