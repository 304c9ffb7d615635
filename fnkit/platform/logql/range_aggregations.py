"""Parses range aggregations such as ``rate({…} | … [5m] offset 1h)``."""

from __future__ import annotations

from typing import Final

from fnkit.platform.logql.groupings import read_grouping
from fnkit.platform.logql.lexing import QueryToken
from fnkit.platform.logql.log_queries import read_selector
from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.stages import begins_stage, begins_unwrap, read_stage, read_unwrap
from fnkit.platform.logql.syntax import LogQuery, LogRange, RangeAggregation, Stage, Unwrap

__all__ = ["RANGE_FUNCTIONS", "read_range_aggregation"]

_LINE_FUNCTIONS: Final = frozenset({"count_over_time", "bytes_over_time", "bytes_rate"})
_LINE_OR_SAMPLE_FUNCTIONS: Final = frozenset({"rate", "absent_over_time"})
_SAMPLE_FUNCTIONS: Final = frozenset(
    f"{name}_over_time" for name in ("sum", "avg", "min", "max", "stdvar", "stddev", "quantile", "first", "last")
)
_UNGROUPED_FUNCTIONS: Final = _LINE_FUNCTIONS | _LINE_OR_SAMPLE_FUNCTIONS | {"sum_over_time"}
RANGE_FUNCTIONS: Final = _LINE_FUNCTIONS | _LINE_OR_SAMPLE_FUNCTIONS | _SAMPLE_FUNCTIONS


class _LogRangeParts:
    """The parts of a log range that were parsed so far; their order in the query varies."""

    def __init__(self) -> None:
        self.query: LogQuery | None = None
        self.stages: list[Stage] = []
        self.unwrap: Unwrap | None = None
        self.interval: int | None = None
        self.offset = 0


def read_range_aggregation(reader: TokenReader, name: str, name_token: QueryToken) -> RangeAggregation:
    """Parse a range aggregation after its function name.

    Args:
        reader: The tokens after the name.
        name: The function in lower case.
        name_token: The token of the name, for errors.
    """
    reader.expect("(")
    parameter = None
    if name == "quantile_over_time":
        parameter = reader.expect_kind("number").value
        reader.expect(",")
    log_range = _read_log_range(reader)
    reader.expect(")")
    grouping = read_grouping(reader)
    if grouping and name in _UNGROUPED_FUNCTIONS:
        raise reader.error(f"grouping not allowed for {name} aggregation", name_token)
    if log_range.unwrap is None and name in _SAMPLE_FUNCTIONS:
        raise reader.error(f"invalid aggregation {name} without unwrap", name_token)
    if log_range.unwrap is not None and name in _LINE_FUNCTIONS:
        raise reader.error(f"invalid aggregation {name} with unwrap", name_token)
    return RangeAggregation(name, log_range, parameter, grouping)


def _read_log_range(reader: TokenReader) -> LogRange:
    parts = _LogRangeParts()
    _read_log_range_parts(reader, parts)
    if parts.query is None or parts.interval is None:
        raise reader.unexpected_token_error("RANGE")
    query = LogQuery(parts.query.selector, tuple(parts.stages))
    return LogRange(query, parts.interval, parts.offset, parts.unwrap)


def _read_log_range_parts(reader: TokenReader, parts: _LogRangeParts) -> None:
    """Parse a selector with stages and a range after it. Any prefix of these may be in parentheses, as in Loki."""
    if reader.accept("("):
        reader.enter_nesting()
        _read_log_range_parts(reader, parts)
        reader.expect(")")
        reader.leave_nesting()
    else:
        parts.query = LogQuery(read_selector(reader))
    while True:
        if begins_unwrap(reader) and parts.unwrap is None:
            parts.unwrap = read_unwrap(reader)
        elif begins_stage(reader) and parts.unwrap is None:
            parts.stages.append(read_stage(reader))
        elif reader.token.kind == "range" and parts.interval is None:
            if not reader.token.value:
                raise reader.error("a range must be longer than nothing")
            parts.interval = int(reader.advance().value)
            parts.offset = _read_offset(reader)
        else:
            return


def _read_offset(reader: TokenReader) -> int:
    if not reader.accept_word("offset"):
        return 0
    sign = -1 if reader.accept("-") else 1
    return sign * int(reader.expect_kind("duration").value)
