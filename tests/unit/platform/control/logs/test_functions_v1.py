"""The log endpoint of the Functions API: newest lines first, across segments, with limits."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fnkit.platform.control.logs.functions_v1 import MAX_LINES, newest_lines
from fnkit.platform.model.log_record import REQUESTS_DIRECTORY, LogRecord, LogStream, segment_name


def line(message: str, stream: LogStream = "stdout", second: int = 53) -> bytes:
    return (
        msgspec.json.encode(
            LogRecord(
                time=f"2026-07-03T13:03:{second:02d}.828897Z",
                function_id="f",
                instance="i",
                request_id="",
                stream=stream,
                message=message,
            )
        )
        + b"\n"
    )


def messages(folder: Path) -> list[str]:
    return [log.message for log in newest_lines(folder).logs]


def test_segments_are_read_newest_first(tmp_path: Path) -> None:
    (tmp_path / segment_name(9)).write_bytes(line("a") + line("b"))
    (tmp_path / segment_name(10)).write_bytes(line("c") + line("d"))
    (tmp_path / "build-00000001.jsonl").write_bytes(line("of a build"))

    assert messages(tmp_path) == ["d", "c", "b", "a"]


def test_line_has_source_stream_and_timestamp(tmp_path: Path) -> None:
    (tmp_path / segment_name(1)).write_bytes(line("out") + line("err", "stderr") + line("ended", "system"))

    assert [(log.source, log.stream, log.timestamp[:10]) for log in newest_lines(tmp_path).logs] == [
        ("core", "unknown", "2026-07-03"),
        ("user", "stderr", "2026-07-03"),
        ("user", "stdout", "2026-07-03"),
    ]


def test_lines_of_requests_are_core_and_displace_no_output(tmp_path: Path) -> None:
    (tmp_path / segment_name(1)).write_bytes(line("first", second=1) + line("last", second=3))
    (tmp_path / REQUESTS_DIRECTORY).mkdir()
    requests = b"".join(line(f"Function Triggered: /{number}", "requests", second=2) for number in range(1200))
    (tmp_path / REQUESTS_DIRECTORY / segment_name(1)).write_bytes(requests)
    found = newest_lines(tmp_path).logs

    assert [(log.message, log.source, log.stream) for log in found[:2]] == [
        ("last", "user", "stdout"),
        ("Function Triggered: /1199", "core", "unknown"),
    ]
    assert (len(found), found[-1].message) == (MAX_LINES + 2, "first")


def test_partial_and_malformed_lines_are_skipped(tmp_path: Path) -> None:
    (tmp_path / segment_name(1)).write_bytes(line("a") + b"nonsense\n\n" + line("b") + line("half")[:20])

    assert messages(tmp_path) == ["b", "a"]


def test_at_most_a_thousand_lines_are_returned(tmp_path: Path) -> None:
    for number in (1, 2):
        content = b"".join(line(f"{number}-{index}") for index in range(700))
        (tmp_path / segment_name(number)).write_bytes(content)
    found = messages(tmp_path)

    assert len(found) == MAX_LINES
    assert (found[0], found[699], found[700], found[-1]) == ("2-699", "2-0", "1-699", "1-400")


def test_response_size_is_limited_to_four_megabytes(tmp_path: Path) -> None:
    (tmp_path / segment_name(1)).write_bytes(line("x" * 65_000) * 100)

    assert 60 <= len(messages(tmp_path)) <= 65


def test_function_without_logs_has_no_lines(tmp_path: Path) -> None:
    assert messages(tmp_path / "nothing") == []
