"""Log queries: text and syntax say the same; numbers are what a plain reading of the definitions gives."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.platform.logql.entry import LogEntry
from fnkit.platform.logql.lexer import QueryError
from fnkit.platform.logql.metrics import evaluate
from fnkit.platform.logql.parser import parse_query
from fnkit.platform.logql.printer import print_query
from fnkit.platform.logql.syntax import (
    AllOf,
    AnyOf,
    BinaryOperation,
    Decolorize,
    Drop,
    Extraction,
    Grouping,
    JsonParser,
    Keep,
    LabelAssignment,
    LabelComparison,
    LabelCondition,
    LabelFilter,
    LabelFormat,
    LineFilter,
    LineFormat,
    LogfmtParser,
    LogQuery,
    LogRange,
    Matcher,
    MetricQuery,
    NumberLiteral,
    Query,
    RangeAggregation,
    RegexpParser,
    Stage,
    Unwrap,
    VectorAggregation,
    VectorLiteral,
    VectorMatching,
)
from fnkit.platform.logql.windows import TimeSteps

SECOND = 10**9
NAMES = st.sampled_from(["a", "level", "resource_name", "_x9", "status"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
DURATIONS = st.integers(1, 10**15)


def matchers() -> st.SearchStrategy[Matcher]:
    plain = st.builds(Matcher, NAMES, st.sampled_from(["=", "!="]), TEXTS)
    patterns = st.builds(Matcher, NAMES, st.sampled_from(["=~", "!~"]), st.sampled_from(["a.*", "[0-9]+", "x|y"]))
    return plain | patterns


def conditions() -> st.SearchStrategy[LabelCondition]:
    operators = st.sampled_from(["==", "!=", ">", ">=", "<", "<="])
    numbers = st.builds(LabelComparison, NAMES, operators, st.floats(-1e9, 1e9), st.just("number"))
    durations = st.builds(LabelComparison, NAMES, operators, DURATIONS.map(float), st.just("duration"))
    sizes = st.builds(LabelComparison, NAMES, operators, st.integers(0, 10**9).map(float), st.just("size"))
    return st.recursive(
        matchers() | numbers | durations | sizes,
        lambda inner: st.builds(AllOf, inner, inner) | st.builds(AnyOf, inner, inner),
        max_leaves=5,
    )


def stages() -> st.SearchStrategy[Stage]:
    extractions = st.lists(st.builds(Extraction, NAMES, st.just("a.b[0]")), max_size=2).map(tuple)
    named = st.lists(NAMES | matchers(), min_size=1, max_size=3).map(tuple)
    assignments = st.builds(LabelAssignment, NAMES, NAMES, st.just(value=False)) | st.builds(
        LabelAssignment, NAMES, st.just("x {{.a}}"), st.just(value=True)
    )
    return st.one_of(
        st.builds(LineFilter, st.sampled_from(["|=", "!="]), st.lists(TEXTS, min_size=1, max_size=3).map(tuple)),
        st.builds(LineFilter, st.sampled_from(["|~", "!~"]), st.just(("a+", "b"))),
        st.builds(JsonParser, extractions),
        st.builds(LogfmtParser, extractions, st.booleans(), st.booleans()),
        st.just(RegexpParser("(?P<x>a)")),
        st.builds(LabelFilter, conditions()),
        st.just(LineFormat("{{.a}} and {{.b}}")),
        st.builds(LabelFormat, st.lists(assignments, min_size=1, max_size=2).map(tuple)),
        st.builds(Drop, named),
        st.builds(Keep, named),
        st.just(Decolorize()),
    )


SELECTORS = st.lists(matchers(), max_size=2).map(lambda more: (Matcher("resource_type", "=", "x"), *more))


def can_be_written(listed: list[Stage]) -> bool:
    """``| drop a != "b"`` is one stage in LogQL's grammar, so those two in a row have no text."""
    return not any(
        isinstance(one, Drop | Keep) and isinstance(one.labels[-1], str) and two.operator in ("!=", "!~")
        for one, two in itertools.pairwise(listed)
        if isinstance(two, LineFilter)
    )


LOG_QUERIES = st.builds(LogQuery, SELECTORS, st.lists(stages(), max_size=4).filter(can_be_written).map(tuple))
GROUPINGS = st.none() | st.builds(Grouping, st.lists(NAMES, max_size=2).map(tuple), st.booleans())


def metrics() -> st.SearchStrategy[MetricQuery]:
    offsets = st.integers(-(10**13), 10**13)
    lines = st.builds(
        RangeAggregation,
        st.sampled_from(["count_over_time", "rate", "bytes_rate", "absent_over_time"]),
        st.builds(LogRange, LOG_QUERIES, DURATIONS, offsets),
    )
    unwraps = st.builds(
        Unwrap, NAMES, st.sampled_from(["", "bytes", "duration"]), st.lists(conditions(), max_size=1).map(tuple)
    )
    samples = st.builds(
        RangeAggregation,
        st.sampled_from(["avg_over_time", "max_over_time"]),
        st.builds(LogRange, LOG_QUERIES, DURATIONS, offsets, unwraps),
        st.none(),
        GROUPINGS,
    )
    series = lines | samples | st.builds(VectorLiteral, st.floats(-1e6, 1e6))
    matchings = st.builds(VectorMatching, st.lists(NAMES, min_size=1, max_size=2).map(tuple), st.booleans())

    def larger(inner: st.SearchStrategy[MetricQuery]) -> st.SearchStrategy[MetricQuery]:
        return st.one_of(
            st.builds(VectorAggregation, st.sampled_from(["sum", "avg"]), inner, st.none(), GROUPINGS),
            st.builds(VectorAggregation, st.just("topk"), inner, st.integers(1, 9), GROUPINGS),
            st.builds(
                BinaryOperation, st.sampled_from(["+", "^", "and"]), inner, inner, st.just(value=False), matchings
            ),
            st.builds(BinaryOperation, st.sampled_from([">", "=="]), inner, inner, st.booleans()),
            st.builds(BinaryOperation, st.just("*"), inner, st.builds(NumberLiteral, st.floats(-1e9, 1e9))),
        )

    return st.recursive(series, larger, max_leaves=4)


@settings(deadline=None)
@given(query=LOG_QUERIES | metrics())
def test_what_is_printed_reads_as_the_same_query(query: Query) -> None:
    text = print_query(query)
    assert parse_query(text) == query, text


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


@settings(deadline=None, max_examples=300)
@given(text=st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(" ".join) | st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        query = parse_query(text)
    except QueryError as refused:
        assert refused.message.startswith("parse error")  # noqa: PT017  either way is right
    else:
        assert parse_query(print_query(query)) == query


# Numbers, by the plainest reading of their definitions

LINES = st.lists(
    st.tuples(st.integers(0, 60), st.sampled_from(["out", "err"]), st.sampled_from(["x", "y"]), st.integers(-5, 5)),
    max_size=40,
)
Line = tuple[int, str, str, int]


def source(lines: list[Line]) -> Iterator[LogEntry]:
    for time, stream, level, value in sorted(lines):
        yield LogEntry(time * SECOND, json.dumps({"level": level, "value": value}), {"stream": stream}, {})


def answer(query: str, lines: list[Line], moments: TimeSteps) -> dict[tuple[str, ...], list[float | None]]:
    def read(_query: LogQuery, after: int, until: int) -> Iterator[LogEntry]:
        return (entry for entry in source(lines) if after < entry.time <= until)

    metric = parse_query(query)
    assert not isinstance(metric, LogQuery)
    made = evaluate(metric, moments, read, lambda _numbers: None)
    assert isinstance(made, list)
    return {tuple(series.labels[name] for name in sorted(series.labels)): series.values for series in made}


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
    ("function", "of"),
    [
        ("count_over_time", len),
        ("sum_over_time", sum),
        ("max_over_time", max),
        ("last_over_time", lambda values: values[-1]),
        ("avg_over_time", lambda values: sum(values) / len(values)),
    ],
)
def test_each_moment_has_what_its_window_holds(
    function: str,
    of: Callable[[list[int]], float],
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

    wanted: dict[tuple[str, ...], list[object]] = defaultdict(lambda: [None] * moments.count)
    for index in range(moments.count):
        moment = start + index * step - offset
        for level in ("x", "y"):
            there = [line for line in sorted(lines) if moment - interval < line[0] <= moment and line[2] == level]
            if there:
                wanted[(level,)][index] = pytest.approx(of([line[3] for line in there]))

    assert answer(query, lines, moments) == dict(wanted)


@settings(deadline=None)
@given(lines=LINES, interval=st.integers(1, 30))
def test_sums_of_sums_are_sums(lines: list[Line], interval: int) -> None:
    moments = TimeSteps(10 * SECOND, 50 * SECOND, 5 * SECOND)
    count = f'count_over_time({{s="t"}} | json | keep level, stream [{interval}s])'
    whole = answer(f"sum({count})", lines, moments)

    assert answer(f"sum(sum by (level) ({count}))", lines, moments) == whole
    assert answer(f"sum(max by (level, stream) ({count}))", lines, moments) == whole
    assert answer(f"sum({count}) * {interval}.0 / {interval}", lines, moments) == whole
