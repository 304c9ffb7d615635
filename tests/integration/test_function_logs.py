"""The output of handlers is logged line by line, with the ID of the request that wrote it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

import msgspec
import pytest

from fnkit.platform.data_plane.logs import LogWriter
from fnkit.platform.model.log_record import (
    MAX_LINE_BYTES,
    MAX_REQUEST_SEGMENTS,
    MAX_SEGMENT_BYTES,
    MAX_SEGMENTS,
    REQUESTS_DIRECTORY,
    LogRecord,
    format_time,
    format_times,
    parse_time,
    segment_number,
)
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_latch import handler_latch
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def plane() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as running:
        yield running


def test_line_has_stream_instance_and_request_id(plane: DataPlaneProcess) -> None:
    source = (
        "import subprocess, sys\nprint('importing')\n"
        "def handle(e, c):\n"
        "    print('hello', e['path'])\n    print('to stderr', file=sys.stderr)\n"
        "    subprocess.run(['/bin/echo', 'from a child'])\n    return 'ok'\n"
    )
    route = plane.deploy("writer", source, max_scale=1)
    for number in range(3):
        plane.call("writer", f"/{number}", headers={"X-Request-Id": f"id-{number}"})
    lines = plane.log_lines(route)
    assert [(line.message, line.stream, line.request_id) for line in lines if line.stream == "stdout"] == [
        ("importing", "stdout", ""),
        *(
            entry
            for number in range(3)
            for entry in (
                (f"hello /{number}", "stdout", f"id-{number}"),
                ("from a child", "stdout", f"id-{number}"),
            )
        ),
    ]
    assert [line.request_id for line in lines if line.stream == "stderr"] == ["id-0", "id-1", "id-2"]
    assert len({line.instance for line in lines}) == 1
    assert {line.function_id for line in lines} == {route.function_id}
    assert all(line.time.endswith("Z") for line in lines)


def test_each_request_has_a_line_before_its_output(plane: DataPlaneProcess) -> None:
    source = "def handle(e, c):\n    print('output')\n    return 'ok'\n"
    route = plane.deploy("triggered", source, max_scale=1)
    for number, path in enumerate(("/", "/a%20b/c?d=e", "/%0a%1b[2J")):
        plane.call("triggered", path, headers={"X-Request-Id": f"id-{number}"})
        # What the handler printed is on disk, and so is the line before it.
        assert plane.request_lines(route)[-1].request_id == plane.log_lines(route)[-1].request_id == f"id-{number}"
    requests, output = plane.request_lines(route), plane.log_lines(route)
    assert [line.message for line in requests] == [
        "Function Triggered: /",
        "Function Triggered: /a b/c",
        "Function Triggered: /\\n\\x1b[2J",
    ]
    assert {line.stream for line in requests} == {"requests"}
    assert {line.instance for line in requests} == {line.instance for line in output}
    in_order = sorted([*requests, *output], key=lambda line: line.time)
    assert [line.stream for line in in_order] == ["requests", "stdout"] * 3
    assert len({line.time for line in in_order}) == 6


def test_request_without_output_has_a_line_soon(plane: DataPlaneProcess) -> None:
    route = plane.deploy("silent", "def handle(e, c):\n    return 'ok'\n")
    for _ in range(3):
        plane.call("silent")
    wait_until(lambda: len(plane.request_lines(route)) == 3)
    assert plane.log_lines(route) == []


@pytest.mark.parametrize("path", ["/favicon.ico", "/robots.txt", "/%zz"])
def test_request_that_reaches_no_instance_has_no_line(plane: DataPlaneProcess, path: str) -> None:
    route = plane.deploy("rejecting", "def handle(e, c):\n    return 'ok'\n")
    assert plane.call("rejecting", path).status in (400, 404)
    plane.call("rejecting", "/last")
    wait_until(lambda: plane.request_lines(route))
    assert {line.message for line in plane.request_lines(route)} == {"Function Triggered: /last"}


def request_lines(folder: Path) -> list[LogRecord]:
    return [
        msgspec.json.decode(line, type=LogRecord)
        for path in sorted(folder.glob(f"{REQUESTS_DIRECTORY}/*.jsonl"))
        for line in path.read_bytes().splitlines()
    ]


def test_lines_of_requests_are_written_together(tmp_path: Path) -> None:
    timers: list[tuple[float, Callable[[], None]]] = []
    writer = LogWriter(tmp_path, lambda: 0, lambda: 0.0, lambda delay, call: timers.append((delay, call)))
    for number in range(3):
        writer.write_request("f", "i", f"r-{number}", "/")
    assert request_lines(tmp_path / "f") == []
    [(delay, on_timer)] = timers
    assert delay == 0.1
    on_timer()
    assert [line.request_id for line in request_lines(tmp_path / "f")] == ["r-0", "r-1", "r-2"]
    writer.write_request("f", "i", "r-3", "/")
    assert len(timers) == 2
    writer.close()
    timers[1][1]()  # a timer that fires after close
    assert len(request_lines(tmp_path / "f")) == 4


def test_lines_of_requests_and_output_have_the_order_in_which_they_came(tmp_path: Path) -> None:
    """The clock is stopped, also while the writer restarts."""
    for _ in range(2):
        writer = LogWriter(tmp_path, lambda: 0, lambda: 0.0)
        for number in range(3):
            writer.write_request("f", "i", f"r-{number}", "/")
            writer.write("f", "i", f"r-{number}", "stdout", [b"out"])
        writer.write_request("f", "i", "last", "/")
        writer.close()
    output = (tmp_path / "f" / "00000001.jsonl").read_bytes().splitlines()
    lines = [*request_lines(tmp_path / "f"), *(msgspec.json.decode(line, type=LogRecord) for line in output)]
    in_order = sorted(lines, key=lambda line: line.time)
    assert [line.stream for line in in_order] == [*["requests", "stdout"] * 3, "requests"] * 2
    assert len({line.time for line in lines}) == 14


def test_requests_and_output_have_separate_rates(tmp_path: Path) -> None:
    seconds = [0.0]
    writer = LogWriter(tmp_path, lambda: 0, lambda: seconds[0])
    for _ in range(30_005):
        writer.write_request("f", "i", "r", "/")
    writer.write("f", "i", "r", "stdout", [b"x"] * 30_000)
    assert len(request_lines(tmp_path / "f")) == 30_000
    assert writer.dropped == {}
    seconds[0] = 60.0
    writer.write_request("f", "i", "next minute", "/")
    writer.close()
    assert request_lines(tmp_path / "f")[-1].request_id == "next minute"


def test_requests_displace_no_output(tmp_path: Path) -> None:
    seconds = [0.0]
    writer = LogWriter(tmp_path, lambda: 0, lambda: seconds[0])
    writer.write("f", "i", "r", "stdout", [b"first"])
    path = "/" + "x" * 60_000
    for _ in range((MAX_REQUEST_SEGMENTS + 2) * MAX_SEGMENT_BYTES // 60_000):
        writer.write_request("f", "i", "r", path)
    writer.close()
    segments = sorted((tmp_path / "f" / REQUESTS_DIRECTORY).iterdir())
    assert len(segments) == MAX_REQUEST_SEGMENTS
    assert (segment_number(segments[0].name) or 0) > 1
    assert '"first"' in (tmp_path / "f" / "00000001.jsonl").read_text()


def test_line_is_logged_before_handler_returns(plane: DataPlaneProcess) -> None:
    with handler_latch() as latch:
        source = latch.source + "def handle(e, c):\n    print('now')\n    wait_for_latch()\n    return 'ok'\n"
        route = plane.deploy("early", source)
        with plane.connect() as peer:
            peer.sendall(b"GET / HTTP/1.1\r\nHost: early.test\r\n\r\n")
            wait_until(lambda: [line for line in plane.log_lines(route) if line.message == "now"])
            latch.release()
            assert peer.recv(65536).endswith(b"ok")


def test_traceback_omits_worker_frames(plane: DataPlaneProcess) -> None:
    route = plane.deploy("raiser", "def handle(e, c):\n    raise ValueError('boom')\n")
    plane.call("raiser")
    text = "\n".join(line.message for line in plane.log_lines(route))
    assert "/home/app/function/handler.py" in text
    assert "ValueError: boom" in text
    assert "fnkit/worker" not in text


def test_unterminated_line_ends_with_its_request(plane: DataPlaneProcess) -> None:
    source = "import sys\ndef handle(e, c):\n    sys.stdout.write('of ' + e['path'])\n    return 'ok'\n"
    route = plane.deploy("unfinished", source, max_scale=1)
    for number in range(2):
        plane.call("unfinished", f"/{number}", headers={"X-Request-Id": f"id-{number}"})
        last = plane.log_lines(route)[-1]  # logged before the next request starts
        assert (last.message, last.request_id) == (f"of /{number}", f"id-{number}")


def test_unterminated_line_is_kept_when_instance_exits(plane: DataPlaneProcess) -> None:
    source = "import os\ndef handle(e, c):\n    print('partial line', end='')\n    os._exit(5)\n"
    route = plane.deploy("exits", source)
    assert plane.call("exits").status == 502
    wait_until(
        lambda: {line.message for line in plane.log_lines(route)} >= {"partial line", "instance ended: exit 5"}
    )


def test_long_line_is_truncated_and_next_line_is_intact(plane: DataPlaneProcess) -> None:
    source = f"def handle(e, c):\n    print('x' * {3 * MAX_LINE_BYTES})\n    print('next')\n    return 'ok'\n"
    route = plane.deploy("long", source)
    plane.call("long")
    messages = [line.message for line in plane.log_lines(route)]
    assert [len(message) for message in messages] == [MAX_LINE_BYTES, 4]


def test_lines_over_the_rate_limit_are_dropped(plane: DataPlaneProcess) -> None:
    source = "def handle(e, c):\n    print('\\n'.join(['x'] * 50_000))\n    return 'ok'\n"
    route = plane.deploy("flood", source)
    assert plane.call("flood").status == 200
    assert sum(1 for line in plane.log_lines(route) if line.message == "x") == 30_000


def test_endless_output_does_not_block_other_functions(plane: DataPlaneProcess) -> None:
    source = "def handle(e, c):\n    while True:\n        print('y' * 1000)\n"
    plane.deploy("endless", source, timeout=1.0)
    plane.deploy("other", "def handle(e, c):\n    return 'fine'\n")
    with plane.connect() as peer:
        peer.sendall(b"GET / HTTP/1.1\r\nHost: endless.test\r\n\r\n")
        assert plane.call("other").body == b"fine"
        assert peer.recv(100).startswith(b"HTTP/1.1 504 ")


class CountedLines(Collection[bytes]):
    """Lines that must not be read."""

    def __len__(self) -> int:
        return 65_536

    def __iter__(self) -> Iterator[bytes]:
        raise AssertionError("the lines are split")

    def __contains__(self, line: object) -> bool:
        raise NotImplementedError


def test_lines_above_the_rate_are_counted_and_not_read(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, lambda: 0, lambda: 0.0)
    writer.write("f", "i", "r", "stdout", [b"x"] * 30_000)
    writer.write("f", "i", "r", "stdout", CountedLines())
    assert writer.dropped == {"f": 65_536}
    writer.close()


@pytest.mark.parametrize("start", [0, 1_782_997_433_828_896_696, 1_782_997_433_999_999_998])
def test_times_of_many_lines_are_those_of_single_ones(start: int) -> None:
    moments = range(start, start + 3)
    assert format_times(moments) == [format_time(moment) for moment in moments]


def test_dropped_line_count_is_logged_a_minute_later(tmp_path: Path) -> None:
    seconds = [0.0]
    writer = LogWriter(tmp_path, lambda: 0, lambda: seconds[0])
    writer.write("f", "i", "r", "stdout", [b"x"] * 30_005)
    seconds[0] = 60.0
    writer.write("f", "i", "r", "stdout", [b"y"])
    writer.close()
    last = (tmp_path / "f" / "00000001.jsonl").read_text().splitlines()[-2:]
    assert '"dropped 5 lines (more than 30000 a minute)"' in last[0]
    assert '"y"' in last[1]


def test_dropped_line_count_is_logged_without_further_output(tmp_path: Path) -> None:
    seconds = [0.0]
    timers: list[tuple[float, Callable[[], None]]] = []
    writer = LogWriter(tmp_path, lambda: 0, lambda: seconds[0], lambda delay, call: timers.append((delay, call)))
    writer.write("f", "i", "r", "stdout", [b"x"] * 30_001)
    seconds[0] = 5.0
    writer.write("f", "i", "r", "stdout", [b"x"] * 10)
    [(delay, on_timer)] = timers
    assert delay == 60.0
    seconds[0] = 60.0
    on_timer()
    assert '"dropped 11 lines (more than 30000 a minute)"' in (tmp_path / "f/00000001.jsonl").read_text()
    writer.close()
    on_timer()  # a timer that fires after close


@pytest.mark.parametrize(
    "end", [lambda writer: writer.close_function("f"), LogWriter.close], ids=["function", "all"]
)
def test_dropped_line_count_is_logged_on_close(tmp_path: Path, end: Callable[[LogWriter], None]) -> None:
    writer = LogWriter(tmp_path, lambda: 0, lambda: 0.0)
    writer.write("f", "i", "r", "stdout", [b"x"] * 30_001)
    end(writer)
    assert '"dropped 1 lines (more than 30000 a minute)"' in (tmp_path / "f/00000001.jsonl").read_text()


def test_unopenable_segment_drops_lines_and_corrupts_no_file(tmp_path: Path) -> None:
    """A descriptor that was closed too early could belong to another file by then."""
    seconds = [0.0]
    writer = LogWriter(tmp_path, lambda: 0, lambda: seconds[0])
    line = b"x" * MAX_LINE_BYTES
    writer.write("f", "i", "r", "stdout", [line])
    (tmp_path / "f" / "00000002.jsonl").mkdir()  # occupies the name of the next segment
    for _ in range(MAX_SEGMENT_BYTES // MAX_LINE_BYTES + 1):
        writer.write("f", "i", "r", "stdout", [line])
    with (tmp_path / "other").open("wb") as other:
        writer.write("f", "i", "r", "stdout", [b"late"])
        assert other.seek(0, 2) == 0
    (tmp_path / "f" / "00000002.jsonl").rmdir()
    writer.write("f", "i", "r", "stdout", [line])
    assert (tmp_path / "f" / "00000002.jsonl").is_file()
    writer.close()


def test_segments_are_bounded_in_size_and_number(tmp_path: Path) -> None:
    seconds = [0.0]
    writer = LogWriter(tmp_path, lambda: 0, lambda: seconds[0])
    line = b"x" * MAX_LINE_BYTES
    for _ in range(MAX_SEGMENTS + 3):
        seconds[0] += 60
        for _ in range(MAX_SEGMENT_BYTES // MAX_LINE_BYTES):
            writer.write("f", "i", "r", "stdout", [line])
    writer.close()
    segments = sorted((tmp_path / "f").glob("*.jsonl"))
    assert len(segments) == MAX_SEGMENTS
    assert all(path.stat().st_size <= MAX_SEGMENT_BYTES for path in segments)
    assert (segment_number(segments[-1].name) or 0) > MAX_SEGMENTS


def open_files(folder: Path) -> list[str]:
    """Return the files in a folder that this process has open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # one that was open while the directory was listed
            found.append(str(descriptor.readlink()))
    return [file for file in found if file.startswith(f"{folder}/")]


def test_many_functions_share_a_limited_number_of_open_files(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path, lambda: 0, lambda: 0.0)
    names = [f"f-{number}" for number in range(150)]
    for text in (b"one", b"two"):
        for name in names:
            writer.write_request(name, "i", "r", "/")
            writer.write(name, "i", "r", "stdout", [text])
    assert len(open_files(tmp_path)) == 2 * 128
    shutil.rmtree(tmp_path / names[0])  # of a function whose files are closed
    writer.write(names[0], "i", "r", "stdout", [b"three"])
    writer.close()
    assert open_files(tmp_path) == []
    for name in names:
        lines = (tmp_path / name / "00000001.jsonl").read_bytes().splitlines()
        records = [msgspec.json.decode(line, type=LogRecord) for line in lines]
        found = [(record.message, parse_time(record.time)) for record in records]
        assert found == ([("three", 5)] if name == names[0] else [("one", 2), ("two", 4)])


def test_restarted_writer_appends_to_newest_segment(tmp_path: Path) -> None:
    for message in (b"one", b"two"):
        writer = LogWriter(tmp_path, lambda: 0, lambda: 0.0)
        writer.write("f", "i", "r", "stdout", [message])
        writer.close()
    assert len((tmp_path / "f" / "00000001.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("size", [1, 4000, 8192, MAX_LINE_BYTES])
@pytest.mark.parametrize("cut_off", [b"", b'{"time":"2026-', b"\0" * 9000])
def test_restarted_writer_continues_after_the_last_complete_line(tmp_path: Path, size: int, cut_off: bytes) -> None:
    """The clock is stopped, so the time of the next line depends on the file alone."""
    file = tmp_path / "f" / "00000001.jsonl"
    for message in (b"one", b"\0" * size, b"three"):
        writer = LogWriter(tmp_path, lambda: 0, lambda: 0.0)
        writer.write("f", "i", "r", "stdout", [message])
        writer.close()
        with file.open("ab") as log:
            log.write(cut_off)
    complete = [line for line in file.read_bytes().splitlines() if line.endswith(b"}")]
    times = [parse_time(msgspec.json.decode(line, type=LogRecord).time) for line in complete]
    assert times == [1, 2, 3]
