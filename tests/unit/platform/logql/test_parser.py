"""LogQL parsing: accepted queries, and the messages and positions of parse errors."""

from __future__ import annotations

import pytest

from fnkit.platform.logql.lexer import MAX_NESTING, MAX_QUERY_CHARACTERS, QueryError
from fnkit.platform.logql.parser import parse_log_query, parse_query, parse_selector
from fnkit.platform.logql.syntax import (
    BinaryOperation,
    Extraction,
    Grouping,
    JsonParser,
    LabelAssignment,
    LabelComparison,
    LabelFilter,
    LabelFormat,
    LabelOperation,
    LabelSelection,
    LineFilter,
    LogfmtParser,
    LogQuery,
    LogRange,
    Matcher,
    NumberLiteral,
    Query,
    RangeAggregation,
    Stage,
    Unwrap,
    VectorAggregation,
    VectorLiteral,
)

SECOND = 10**9
MATCHER_REQUIRED = "parse error at line 1, col 1: queries require at least one regexp or equality matcher"


def parse_error(text: str) -> str:
    with pytest.raises(QueryError) as raised:
        parse_query(text)
    return raised.value.message


SELECTOR = (Matcher("a", "=", "b"),)


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ('{a="b"}', ()),
        ('{a="b"}|="x"or"y"!="z"|~`\\d`',
         (LineFilter("|=", ("x", "y")), LineFilter("!=", ("z",)), LineFilter("|~", ("\\d",)))),
        ('{a="b"} # a comment\n| json', (JsonParser(),)),
        ('{a="b"} | json x="y.z[0]", w', (JsonParser((Extraction("x", "y.z[0]"), Extraction("w", "w"))),)),
        ('{a="b"} | logfmt --keep-empty', (LogfmtParser(keep_empty=True),)),
        ('{a="b"} | took > 1h30m, size<=2KiB',
         (LabelFilter(LabelOperation("and", LabelComparison("took", ">", 5400 * SECOND, "duration"),
                                     LabelComparison("size", "<=", 2048, "size"))),)),
        ('{a="b"} | status = 500', (LabelFilter(LabelComparison("status", "==", 500, "number")),)),
        ('{a="b"} | drop __error__, c="d"', (LabelSelection(("__error__", Matcher("c", "=", "d")), keeps=False),)),
        ('{a="b"} | label_format x=y, z="{{.c}}"',
         (LabelFormat((LabelAssignment("x", "y", is_template=False),
                       LabelAssignment("z", "{{.c}}", is_template=True))),)),
    ],
)  # fmt: skip
def test_log_query_stages_are_parsed(text: str, stages: tuple[Stage, ...]) -> None:
    assert parse_query(text) == LogQuery(SELECTOR, stages)


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ('( ( {a=~"b+", c!=`d"`} ) )', LogQuery((Matcher("a", "=~", "b+"), Matcher("c", "!=", 'd"')))),
        ('count_over_time(({a="b"} |= "c") [5m] offset 1d)',
         RangeAggregation(
             "count_over_time",
             LogRange(LogQuery(SELECTOR, (LineFilter("|=", ("c",)),)), 300 * SECOND, 86400 * SECOND),
         )),
        ('rate({a="b"}[1m] | json)',
         RangeAggregation("rate", LogRange(LogQuery(SELECTOR, (JsonParser(),)), 60 * SECOND))),
        ('sum(rate({a="b"}[1m])) by (c)',
         VectorAggregation(
             "sum", RangeAggregation("rate", LogRange(LogQuery(SELECTOR), 60 * SECOND)), None, Grouping(("c",))
         )),
        ('max_over_time({a="b"} | unwrap bytes(c) | d="e" [1m]) by ()',
         RangeAggregation(
             "max_over_time",
             LogRange(
                 LogQuery(SELECTOR), 60 * SECOND, unwrap=Unwrap("c", "bytes", (Matcher("d", "=", "e"),))
             ),
             grouping=Grouping(()),
         )),
        ("vector(1) / on (a, b) vector(2)",
         BinaryOperation(
             "/", VectorLiteral(1), VectorLiteral(2), matching=Grouping(("a", "b"))
         )),
        ("-1.5", NumberLiteral(-1.5)),
    ],
)  # fmt: skip
def test_query_is_parsed(text: str, query: Query) -> None:
    assert parse_query(text) == query


@pytest.mark.parametrize(
    ("text", "with_parentheses"),
    [
        ("1 + 2 * 3 ^ 2 ^ 1 == bool 4", "((1 + (2 * (3 ^ (2 ^ 1)))) == bool 4)"),
        ("1 - 2 - 3", "((1 - 2) - 3)"),
        ("vector(1) unless vector(2) or vector(3)", "((vector(1) unless vector(2)) or vector(3))"),
        ("vector(1) or vector(2) and vector(3)", "(vector(1) or (vector(2) and vector(3)))"),
    ],
)
def test_operators_bind_by_precedence(text: str, with_parentheses: str) -> None:
    assert parse_query(text) == parse_query(with_parentheses)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "parse error at line 1, col 1: syntax error: unexpected end of query, expecting a query"),
        ('{a="b"', "parse error at line 1, col 7: syntax error: unexpected end of query, expecting }"),
        ('{a="b"} |', "parse error at line 1, col 10: syntax error: unexpected end of query, expecting a stage"),
        ('{a="b"}\n  | unpack', "parse error at line 2, col 5: the stage unpack is not supported here"),
        ('{a="b"} |> "x"', "parse error at line 1, col 9: the pattern filter |> is not supported here"),
        ('{a="b"} |= ip("x")', "parse error at line 1, col 12: ip() is not supported here"),
        ("label_replace(x)", "parse error at line 1, col 1: the function label_replace is not supported here"),
        ("vector(1) / on (a) group_left 1", "parse error at line 1, col 20: group_left is not supported here"),
        ('{a="b"} |~ "(?=x)"', "parse error at line 1, col 12: error parsing regexp: invalid perl operator: (?="),
        ('{a="b', "parse error at line 1, col 4: literal not terminated"),
        ('{a="\\q"}', "parse error at line 1, col 4: invalid char escape"),
        ('rate({a="b"}[5])', 'parse error at line 1, col 13: not a valid duration string: "5"'),
        ('rate({a="b"}[0s])', "parse error at line 1, col 13: a range must be longer than nothing"),
        ('avg_over_time({a="b"}[1m])',
         "parse error at line 1, col 1: invalid aggregation avg_over_time without unwrap"),
        ("1e999", "parse error at line 1, col 1: value out of range: 1e999"),
        ('{a="b"} € ', "parse error at line 1, col 9: syntax error: unexpected character '€'"),
        ('{a="b"} | line_format "{{ if x }}"',
         "parse error at line 1, col 23: the template action {{ if x }} is not supported here, only {{.label}} is"),
    ],
)  # fmt: skip
def test_parse_error_has_message_and_position(text: str, message: str) -> None:
    assert parse_error(text) == message


@pytest.mark.parametrize("selector", ["{}", '{a=~".*"}', '{a!="b"}', '{a=""}', '{a!~"b"}'])
def test_selector_requires_a_matcher_that_excludes_empty(selector: str) -> None:
    assert parse_error(selector).startswith(MATCHER_REQUIRED)


def test_nesting_length_and_number_of_operators_are_limited() -> None:
    assert parse_error("(" * (MAX_NESTING + 1)).endswith(f"nested more than {MAX_NESTING} deep")
    assert parse_error("1" + "+1" * 501).endswith("more than 500 operators")
    assert parse_error("x" * (MAX_QUERY_CHARACTERS + 1)).startswith("parse error : input size too long")


def test_comma_takes_the_rest_of_the_filter_as_its_right_operand() -> None:
    query = parse_query('{a="b"} | x="1" or y="2", z="3" or w="4"')
    x, y, z, w = (Matcher(name, "=", str(value)) for value, name in enumerate("xyzw", 1))

    assert isinstance(query, LogQuery)
    assert query.stages == (
        LabelFilter(LabelOperation("or", x, LabelOperation("and", y, LabelOperation("or", z, w)))),
    )


def test_series_require_a_selector_and_tailing_a_log_query() -> None:
    assert parse_selector('{a="b"}') == (Matcher("a", "=", "b"),)
    with pytest.raises(QueryError, match="only label matchers are supported"):
        parse_selector('{a="b"} | json')
    with pytest.raises(QueryError, match="only log queries are supported"):
        parse_log_query("vector(1)")
