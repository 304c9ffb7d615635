"""Reading log segments within a time span returns what reading every line would."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.platform.control.logs.segments import (
    CHUNK_BYTES,
    SegmentPosition,
    TimeSpan,
    log_end,
    read_backward,
    read_chunks,
    read_forward,
)
from fnkit.platform.model.log_record import LogRecord, format_time, segment_name
from tests.support.examples import examples

ALWAYS = TimeSpan(0, 2**62)


def encode_line(time: int, message: str = "") -> bytes:
    line = LogRecord(
        time=format_time(time), function_id="f", instance="i", request_id="", stream="stdout", message=message
    )
    return msgspec.json.encode(line) + b"\n"


def write(folder: Path, segments: list[list[tuple[int, int]]]) -> None:
    """Write segments of (time, message length) lines, numbered from 5."""
    for number, lines in enumerate(segments, start=5):
        content = b"".join(encode_line(time, "x" * length) for time, length in lines)
        (folder / segment_name(number)).write_bytes(content)


@st.composite
def logs(draw: st.DrawFn) -> list[list[tuple[int, int]]]:
    times = sorted(draw(st.sets(st.integers(0, 300), max_size=60)))
    lengths = [draw(st.sampled_from([0, 0, 0, 10, 5000, CHUNK_BYTES, 3 * CHUNK_BYTES])) for _ in times]
    cuts = sorted(draw(st.lists(st.integers(0, len(times)), max_size=3)))
    lines = list(zip(times, lengths, strict=True))
    return [lines[a:b] for a, b in zip([0, *cuts], [*cuts, len(lines)], strict=True)]


@settings(deadline=None, max_examples=examples(60))
@given(log=logs(), start=st.integers(-5, 310), length=st.integers(0, 310))
def test_time_span_returns_exactly_its_lines_in_both_directions(
    tmp_path_factory: pytest.TempPathFactory, log: list[list[tuple[int, int]]], start: int, length: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    write(folder, log)
    span = TimeSpan(start, start + length)
    expected = [time for segment in log for time, _ in segment if span.start <= time < span.end]

    assert [time for time, _ in read_forward(folder, span)] == expected
    assert [time for time, _ in read_backward(folder, span)] == expected[::-1]
    assert b"".join(read_chunks(folder, span)).count(b"\n") == len(expected)


@settings(deadline=None, max_examples=examples(30))
@given(log=logs(), moment=st.integers(-5, 310))
def test_end_position_excludes_lines_written_later(
    tmp_path_factory: pytest.TempPathFactory, log: list[list[tuple[int, int]]], moment: int
) -> None:
    folder = tmp_path_factory.mktemp("log")
    earlier = [[line for line in segment if line[0] < moment] for segment in log]
    write(folder, earlier[: max((number for number, lines in enumerate(earlier, start=1) if lines), default=0)])
    before = TimeSpan(0, 2**62, log_end(folder))
    write(folder, log)

    assert [time for time, _ in read_forward(folder, before)] == [t for s in log for t, _ in s if t < moment]


def test_partial_and_malformed_lines_are_skipped(tmp_path: Path) -> None:
    content = encode_line(1) + b"nonsense\n\n" + encode_line(2)[:20] + b"\n" + encode_line(3) + encode_line(4)[:20]
    (tmp_path / segment_name(1)).write_bytes(content)

    assert [time for time, _ in read_forward(tmp_path, ALWAYS)] == [1, 3]
    assert [time for time, _ in read_forward(tmp_path, TimeSpan(2, 9))] == [3]
    assert [time for time, _ in read_backward(tmp_path, TimeSpan(0, 3))] == [1]


def test_function_without_logs_has_no_lines(tmp_path: Path) -> None:
    assert list(read_forward(tmp_path / "nothing", ALWAYS)) == []
    assert list(read_backward(tmp_path, ALWAYS)) == []
    assert log_end(tmp_path) == SegmentPosition(0, 0)
