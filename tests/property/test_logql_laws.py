"""Log queries: whitespace has no meaning, and metrics equal a direct implementation of their definitions."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.platform.logql.entry import LogEntry
from fnkit.platform.logql.lexer import QueryError, tokenize
from fnkit.platform.logql.metrics import evaluate
from fnkit.platform.logql.parser import parse_query
from fnkit.platform.logql.syntax import LineFilter, LogQuery, Matcher
from fnkit.platform.logql.windows import TimeSteps
from tests.support.examples import examples

SECOND = 10**9
NAMES = st.sampled_from(["a", "level", "resource_name", "_x9", "status"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
QUOTED = TEXTS.map(lambda text: json.dumps(text, ensure_ascii=False))
DURATIONS = st.sampled_from(["1ns", "1.5s", "90m", "1h30m", "2d"])


def joined(items: st.SearchStrategy[str], separator: str, least: int = 1, most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(items, min_size=least, max_size=most).map(separator.join)


def matchers() -> st.SearchStrategy[str]:
    patterns = st.sampled_from(['"a.*"', '"[0-9]+"', "`x|y`"])
    return st.builds("{}{}{}".format, NAMES, st.sampled_from(["=", "!="]), QUOTED) | st.builds(
        "{}{}{}".format, NAMES, st.sampled_from(["=~", "!~"]), patterns
    )


def conditions() -> st.SearchStrategy[str]:
    values = st.sampled_from(["1", "-2.5", "1e3", "20kB", "1.5KiB"]) | DURATIONS
    comparisons = st.builds(
        "{}{}{}".format, NAMES, st.sampled_from(["==", "=", "!=", ">", ">=", "<", "<="]), values
    )
    return st.recursive(
        matchers() | comparisons,
        lambda inner: st.builds("({}{}{})".format, inner, st.sampled_from([" and ", " or ", ", ", " "]), inner),
        max_leaves=5,
    )


def stages() -> st.SearchStrategy[str]:
    assignments = st.builds("{}={}".format, NAMES, st.sampled_from(["b", '"x {{.a}}"']))
    return st.one_of(
        st.builds("{}{}".format, st.sampled_from(["|=", "!="]), joined(QUOTED, " or ")),
        st.builds("{}{}".format, st.sampled_from(["|~", "!~"]), st.just('"a+" or `b`')),
        st.sampled_from(["|json", '|json a="b.c[0]",d', "|logfmt", '|logfmt --strict --keep-empty a="b"']),
        st.sampled_from(["|regexp `(?P<x>a)`", '|pattern "<a> <_>"', '|line_format "{{.a}}"', "|decolorize"]),
        st.builds("|{}".format, conditions()),
        st.builds("|label_format {}".format, joined(assignments, ",")),
        st.builds("|{} {}".format, st.sampled_from(["drop", "keep"]), joined(NAMES | matchers(), ",")),
    )


SELECTORS = joined(matchers(), ",", least=0).map(lambda more: f'{{resource_type="x"{more and ","}{more}}}')
LOG_QUERIES = st.builds("{}{}".format, SELECTORS, joined(stages(), "", least=0, most=4))
GROUPINGS = st.just("") | st.builds(
    "{}({})".format, st.sampled_from(["by", "without"]), joined(NAMES, ",", least=0)
)


def metrics() -> st.SearchStrategy[str]:
    offsets = st.just("") | st.builds(" offset {}{}".format, st.sampled_from(["", "-"]), DURATIONS)
    ranges = st.builds("[{}]{}".format, DURATIONS, offsets)
    lines = st.builds(
        "{}({}{})".format,
        st.sampled_from(["count_over_time", "rate", "bytes_rate", "absent_over_time"]), LOG_QUERIES, ranges,
    )  # fmt: skip
    unwraps = st.builds(
        "|unwrap {}{}".format,
        st.sampled_from(["a", "bytes(a)", "duration(a)"]), conditions().map("|{}".format) | st.just(""),
    )  # fmt: skip
    samples = st.builds(
        "{}({}{}{}){}".format,
        st.sampled_from(["avg_over_time", "max_over_time"]), LOG_QUERIES, unwraps, ranges, GROUPINGS,
    )  # fmt: skip
    matchings = st.just(" ") | st.builds(" {}({})".format, st.sampled_from(["on", "ignoring"]), joined(NAMES, ","))
    operators = st.sampled_from(["+", "-", "*", "^", "and", "unless", "or", ">", "==bool"])

    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.builds("{} {}({})".format, st.sampled_from(["sum", "avg"]), GROUPINGS, inner),
            st.builds("{}({},{}){}".format, st.just("topk"), st.integers(1, 9), inner, GROUPINGS),
            st.builds("({}) {}{}({})".format, inner, operators, matchings, inner),
            st.builds("{} {} {}".format, inner, st.sampled_from(["*", "-", "<"]), st.sampled_from(["2", "-1.5"])),
        )

    return st.recursive(lines | samples | st.just("vector(1)"), larger, max_leaves=4)


SPACES = st.sampled_from(["", "", " ", "\t", "\n", " # a comment\n", "#}\n"])


@settings(deadline=None)
@given(text=LOG_QUERIES | metrics(), data=st.data())
def test_whitespace_and_comments_between_tokens_are_ignored(text: str, data: st.DataObject) -> None:
    query = parse_query(text)
    starts = [token.start for token in tokenize(text)]
    spaces = data.draw(st.lists(SPACES, min_size=len(starts), max_size=len(starts)))
    pieces = (
        space + text[start:end] for space, (start, end) in zip(spaces, itertools.pairwise(starts), strict=False)
    )
    spaced = "".join(pieces) + spaces[-1]
    assert parse_query(spaced) == query, spaced


@settings(deadline=None)
@given(value=TEXTS)
def test_quoted_string_parses_to_its_value(value: str) -> None:
    query = parse_query(f'{{a="b"}} |= {json.dumps(value, ensure_ascii=False)}')
    assert query == LogQuery((Matcher("a", "=", "b"),), (LineFilter("|=", (value,)),))


FRAGMENTS = [
    '{a="b"}',
    "{",
    "}",
    "|",
    '"x"',
    "json",
    "sum",
    "by",
    "(",
    ")",
    "[5m]",
    "rate(",
    "unwrap",
    "=",
    "5",
    "and",
    "\\",
]


@settings(deadline=None, max_examples=examples(300))
@given(text=st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(" ".join) | st.text(max_size=30))
def test_any_text_parses_or_raises_a_parse_error(text: str) -> None:
    try:
        query = parse_query(text)
    except QueryError as error:
        assert error.message.startswith("parse error")  # noqa: PT017  both outcomes are valid
    else:
        assert parse_query(f" {text}\n# a comment") == query


# Metrics, computed directly from their definitions

LINES = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["out", "err"]), st.sampled_from(["x", "y"]), st.integers(-5, 5)),
    max_size=40,
)
Line = tuple[int, str, str, int]


def source(lines: list[Line]) -> Iterator[LogEntry]:
    for time, stream, level, value in sorted(lines):
        yield LogEntry(time * SECOND, json.dumps({"level": level, "value": value}), {"stream": stream}, {})


def evaluate_metric(query: str, lines: list[Line], moments: TimeSteps) -> dict[tuple[str, ...], list[float | None]]:
    def read(_query: LogQuery, after: int, until: int) -> Iterator[LogEntry]:
        return (entry for entry in source(lines) if after < entry.time <= until)

    metric = parse_query(query)
    assert not isinstance(metric, LogQuery)
    result = evaluate(metric, moments, read, lambda _numbers: None)
    assert isinstance(result, list)
    return {tuple(series.labels[name] for name in sorted(series.labels)): series.values for series in result}


@settings(deadline=None)
@given(
    lines=LINES,
    start=st.integers(0, 30),
    length=st.integers(0, 40),
    step=st.integers(1, 9),
    interval=st.integers(1, 25),
    offset=st.integers(-10, 10),
)
@pytest.mark.parametrize(
    ("function", "aggregate"),
    [
        ("count_over_time", len),
        ("sum_over_time", sum),
        ("max_over_time", max),
        ("last_over_time", lambda values: values[-1]),
        ("avg_over_time", lambda values: sum(values) / len(values)),
    ],
)
def test_range_aggregation_equals_the_aggregate_of_each_window(
    function: str,
    aggregate: Callable[[list[int]], float],
    lines: list[Line],
    start: int,
    length: int,
    step: int,
    interval: int,
    offset: int,
) -> None:
    stages = "| json | keep level" if function == "count_over_time" else "| json | drop stream | unwrap value"
    query = f'max by (level) ({function}({{s="t"}} {stages} [{interval}s] offset {offset}s))'
    moments = TimeSteps(start * SECOND, (start + length) * SECOND, step * SECOND)

    expected: dict[tuple[str, ...], list[object]] = defaultdict(lambda: [None] * moments.count)
    for index in range(moments.count):
        moment = start + index * step - offset
        for level in ("x", "y"):
            in_window = [
                line for line in sorted(lines) if moment - interval < line[0] <= moment and line[2] == level
            ]
            if in_window:
                expected[(level,)][index] = pytest.approx(aggregate([line[3] for line in in_window]))

    assert evaluate_metric(query, lines, moments) == dict(expected)


@settings(deadline=None)
@given(lines=LINES, interval=st.integers(1, 30))
def test_nested_sums_equal_the_total_sum(lines: list[Line], interval: int) -> None:
    moments = TimeSteps(10 * SECOND, 50 * SECOND, 5 * SECOND)
    count = f'count_over_time({{s="t"}} | json | keep level, stream [{interval}s])'
    whole = evaluate_metric(f"sum({count})", lines, moments)

    assert evaluate_metric(f"sum(sum by (level) ({count}))", lines, moments) == whole
    assert evaluate_metric(f"sum(max by (level, stream) ({count}))", lines, moments) == whole
    assert evaluate_metric(f"sum({count}) * {interval}.0 / {interval}", lines, moments) == whole
