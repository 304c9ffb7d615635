"""Levels of lines, and lines that belong together."""

from __future__ import annotations

import pytest

from fnkit.client.loki import LogLine
from fnkit.logs.levels import LevelReader, LogLevel, level_of, read_levels


def line(message: str, *, stream: str = "stdout", instance: str = "1", time: int = 0) -> LogLine:
    return LogLine(
        time=time,
        function_id="f-1",
        function="orders",
        stream=stream,
        instance=instance,
        request_id="",
        generation=0,
        message=message,
    )


@pytest.mark.parametrize(
    ("message", "level"),
    [
        ("order 17 accepted", LogLevel.INFO),
        ("the error was mine", LogLevel.INFO),
        ("WARNING:root:low stock", LogLevel.WARNING),
        ("2026-11-29 10:00:00,123 - shop - ERROR - no stock", LogLevel.ERROR),
        ("[DEBUG] 2026 cache hit", LogLevel.DEBUG),
        ('{"level": "warn", "msg": "low"}', LogLevel.WARNING),
        ('{"severity": "CRITICAL"}', LogLevel.ERROR),
        ('{"level": 50, "msg": "pino"}', LogLevel.ERROR),
        ('{"level": 10, "msg": "pino"}', LogLevel.DEBUG),
        ('{"level": true, "severity": "debug"}', LogLevel.DEBUG),
        ('{"a": "ERROR"}', LogLevel.ERROR),
        ("time=1 level=error msg=x", LogLevel.ERROR),
        ("ValueError: no such order", LogLevel.ERROR),
        ("TypeError [ERR_INVALID]: x", LogLevel.INFO),
        ("panic: runtime error", LogLevel.ERROR),
        ("", LogLevel.INFO),
    ],
)
def test_level_is_recognised_in_the_forms_of_logging_libraries(message: str, level: LogLevel) -> None:
    assert level_of(line(message)) == level


def test_lines_about_requests_are_debug_and_messages_of_the_platform_warnings() -> None:
    assert level_of(line("Function Triggered: /", stream="requests")) == LogLevel.DEBUG
    assert level_of(line("Function Triggered: /", stream="stdout")) == LogLevel.INFO
    assert level_of(line("instance ended: exit 1", stream="system")) == LogLevel.WARNING


TRACEBACK = [
    "Traceback (most recent call last):",
    '  File "main.py", line 3, in orders',
    "    raise KeyError",
    "KeyError: 'a'",
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    "Traceback (most recent call last):",
    '  File "main.py", line 5, in orders',
    "ValueError: no",
]


def test_all_lines_of_a_chained_traceback_are_errors_and_the_next_line_is_not() -> None:
    levels = [one.level for one in read_levels(map(line, [*TRACEBACK, "next order"]), LevelReader())]
    assert levels == [*[LogLevel.ERROR] * len(TRACEBACK), LogLevel.INFO]


def test_lines_of_a_traceback_stay_together_when_two_instances_write() -> None:
    mixed = []
    for text in TRACEBACK:
        mixed += [line(text, instance="1"), line(f"other {text.strip()}", instance="2")]
    shown = [one.line for one in read_levels(mixed, LevelReader())]
    assert [one.message for one in shown if one.instance == "1"] == TRACEBACK
    assert [one.instance for one in shown[: len(TRACEBACK)]] == ["1"] * len(TRACEBACK)
    assert sorted(shown, key=repr) == sorted(mixed, key=repr)


def test_traceback_that_continues_in_the_next_read_keeps_its_level() -> None:
    reader = LevelReader()
    read_levels(map(line, TRACEBACK[:2]), reader)
    assert [one.level for one in read_levels(map(line, TRACEBACK[2:4]), reader)] == [LogLevel.ERROR] * 2
