"""Parses a query into its syntax tree: recursive descent, with precedence climbing for binary operators.

Operators from lowest to highest precedence: ``or``; ``and unless``; comparisons; ``+ -``; ``* / %``; ``^``, which
is right-associative. Stages and label filters are parsed in ``stage_parser``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from fnkit.platform.logql import syntax
from fnkit.platform.logql.lexer import QueryToken, TokenReader
from fnkit.platform.logql.pipeline import selector_predicate
from fnkit.platform.logql.stage_parser import begins_stage, begins_unwrap, read_matcher, read_stage, read_unwrap

T = TypeVar("T")

_LINE_FUNCTIONS: Final = frozenset({"count_over_time", "bytes_over_time", "bytes_rate"})
_LINE_OR_SAMPLE_FUNCTIONS: Final = frozenset({"rate", "absent_over_time"})
_SAMPLE_FUNCTIONS: Final = frozenset(
    f"{name}_over_time" for name in ("sum", "avg", "min", "max", "stdvar", "stddev", "quantile", "first", "last")
)
_UNGROUPED_FUNCTIONS: Final = _LINE_FUNCTIONS | _LINE_OR_SAMPLE_FUNCTIONS | {"sum_over_time"}
_RANGE_FUNCTIONS: Final = _LINE_FUNCTIONS | _LINE_OR_SAMPLE_FUNCTIONS | _SAMPLE_FUNCTIONS

_VECTOR_FUNCTIONS: Final = frozenset({"sum", "min", "max", "avg", "count", "stddev", "stdvar"})
_ORDERING_FUNCTIONS: Final = frozenset({"sort", "sort_desc"})
_RANKING_FUNCTIONS: Final = frozenset({"topk", "bottomk"})
_UNSUPPORTED_FUNCTIONS: Final = frozenset({"label_replace", "approx_topk", "variants", "rate_counter"})
_POWER_PRECEDENCE: Final = 6
_PRECEDENCE: Final = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", ">", ">=", "<", "<="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
    "^": _POWER_PRECEDENCE,
}
_COMPARISON_OPERATORS: Final = frozenset({"==", "!=", ">", ">=", "<", "<="})


def _read_grouping(reader: TokenReader, only: str = "by", all_but: str = "without") -> syntax.Grouping | None:
    """Parse ``by (…)`` or ``without (…)``, or the words for the same, if the current token starts one."""
    if not reader.is_next(only, all_but):
        return None
    without = reader.advance().text.lower() == all_but
    reader.expect("(")
    return syntax.Grouping(_read_list(reader, ")", lambda: reader.expect_kind("name").text), without)


def _read_list(reader: TokenReader, end: str, read_item: Callable[[], T]) -> tuple[T, ...]:
    """Parse a list with commas, which may be empty, and the symbol after it."""
    items: list[T] = []
    while not reader.is_next(end):
        items.append(read_item())
        if not reader.accept(","):
            break
    reader.expect(end)
    return tuple(items)


def _read_log_query(reader: TokenReader) -> syntax.LogQuery:
    """Parse a log query, which may be in parentheses."""
    if reader.accept("("):
        with reader.parentheses():
            return _read_log_query(reader)
    selector = _read_selector(reader)
    stages = []
    while begins_stage(reader):
        stages.append(read_stage(reader))
    return syntax.LogQuery(selector, tuple(stages))


def _read_selector(reader: TokenReader) -> tuple[syntax.Matcher, ...]:
    """Parse ``{a="b", c=~"d"}``.

    Raises:
        QueryError: The syntax is wrong, or every matcher matches an empty value. Loki requires one that does not,
            because the selector would otherwise match all streams.
    """
    start = reader.expect("{")
    matchers = _read_list(reader, "}", lambda: read_matcher(reader))
    if selector_predicate(matchers)({}):  # that is, it matches a stream without these labels
        raise reader.error(
            "queries require at least one regexp or equality matcher that does not have an empty-compatible value. "
            'For instance, app=~".*" does not meet this requirement, but app=~".+" will',
            start,
        )
    return matchers


class _LogRangeParts:
    """The parts of a log range that were parsed so far; their order in the query varies."""

    def __init__(self) -> None:
        self.query: syntax.LogQuery | None = None
        self.stages: list[syntax.Stage] = []
        self.unwrap: syntax.Unwrap | None = None
        self.interval: int | None = None
        self.offset = 0


def _read_range_aggregation(reader: TokenReader, name: str, name_token: QueryToken) -> syntax.RangeAggregation:
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
    grouping = _read_grouping(reader)
    if grouping and name in _UNGROUPED_FUNCTIONS:
        raise reader.error(f"grouping not allowed for {name} aggregation", name_token)
    if log_range.unwrap is None and name in _SAMPLE_FUNCTIONS:
        raise reader.error(f"invalid aggregation {name} without unwrap", name_token)
    if log_range.unwrap is not None and name in _LINE_FUNCTIONS:
        raise reader.error(f"invalid aggregation {name} with unwrap", name_token)
    return syntax.RangeAggregation(name, log_range, parameter, grouping)


def _read_log_range(reader: TokenReader) -> syntax.LogRange:
    parts = _LogRangeParts()
    _read_log_range_parts(reader, parts)
    if parts.query is None or parts.interval is None:
        raise reader.unexpected_token_error("RANGE")
    query = syntax.LogQuery(parts.query.selector, tuple(parts.stages))
    return syntax.LogRange(query, parts.interval, parts.offset, parts.unwrap)


def _read_log_range_parts(reader: TokenReader, parts: _LogRangeParts) -> None:
    """Parse a selector with stages and a range after it. Any prefix of these may be in parentheses, as in Loki."""
    if reader.accept("("):
        with reader.parentheses():
            _read_log_range_parts(reader, parts)
    else:
        parts.query = syntax.LogQuery(_read_selector(reader))
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
    if not reader.accept("offset"):
        return 0
    sign = -1 if reader.accept("-") else 1
    return sign * int(reader.expect_kind("duration").value)


def parse_query(text: str) -> syntax.Query:
    """Parse a query.

    Raises:
        QueryError: The query is invalid or unsupported; the message has the line and column.
    """
    reader = TokenReader(text)
    query = _read_log_query(reader) if _is_log_query(reader) else _read_metric_query(reader, 0)
    if reader.token.kind != "end":
        raise reader.unexpected_token_error()
    return query


def parse_log_query(text: str) -> syntax.LogQuery:
    """Parse a log query.

    Raises:
        QueryError: The query is invalid, unsupported or a metric query.
    """
    query = parse_query(text)
    if not isinstance(query, syntax.LogQuery):
        raise TokenReader(text).error("only log queries are supported here")
    return query


def parse_selector(text: str) -> tuple[syntax.Matcher, ...]:
    """Parse a selector ``{…}`` without stages, which limits lists of labels and series.

    Raises:
        QueryError: The text is not a selector.
    """
    query = parse_log_query(text)
    if query.stages:
        raise TokenReader(text).error("only label matchers are supported")
    return query.selector


def _is_log_query(reader: TokenReader) -> bool:
    """Return whether the first token that is not an opening parenthesis starts a selector."""
    return next((token.text == "{" for token in reader.remaining() if token.text != "("), False)


def _read_metric_query(reader: TokenReader, min_precedence: int) -> syntax.MetricQuery:
    left = _read_operand(reader)
    while True:
        token = reader.token
        operator = token.text.lower() if token.kind in ("symbol", "name") else ""
        precedence = _PRECEDENCE.get(operator, 0)
        if precedence <= min_precedence:
            return left
        reader.advance()
        reader.count_operation()
        as_bool = reader.accept("bool")
        if as_bool and operator not in _COMPARISON_OPERATORS:
            raise reader.error("bool modifier can only be used on comparison operators", token)
        matching = _read_matching(reader)
        # A lower limit makes the right operand take the next operator of equal precedence: right-associative.
        right = _read_metric_query(reader, precedence - 1 if precedence == _POWER_PRECEDENCE else precedence)
        if operator in ("and", "or", "unless") and any(
            isinstance(side, syntax.NumberLiteral) for side in (left, right)
        ):
            raise reader.error(f"unexpected literal for a side of logical/set binary operation ({operator})", token)
        left = syntax.BinaryOperation(operator, left, right, as_bool, matching)


def _read_matching(reader: TokenReader) -> syntax.Grouping:
    """Parse ``on (…)`` or ``ignoring (…)``; without one, two series must agree in all labels."""
    matching = _read_grouping(reader, "on", "ignoring") or syntax.Grouping((), without=True)
    if reader.is_next("group_left", "group_right"):
        raise reader.unsupported_error(reader.token.text)
    return matching


def _read_operand(reader: TokenReader) -> syntax.MetricQuery:
    token = reader.token
    if token.kind == "number" or reader.is_next("+", "-"):
        return syntax.NumberLiteral(_read_number(reader))
    if reader.accept("("):
        with reader.parentheses():
            return _read_metric_query(reader, 0)
    if token.kind != "name":
        raise reader.unexpected_token_error("a query")
    name = token.text.lower()
    if name == "vector":
        reader.advance()
        reader.expect("(")
        value = _read_number(reader)
        reader.expect(")")
        return syntax.VectorLiteral(value)
    if name in _RANGE_FUNCTIONS:
        reader.advance()
        return _read_range_aggregation(reader, name, token)
    if name in _VECTOR_FUNCTIONS | _ORDERING_FUNCTIONS | _RANKING_FUNCTIONS:
        reader.advance()
        return _read_vector_aggregation(reader, name, token)
    if name in _UNSUPPORTED_FUNCTIONS:
        raise reader.unsupported_error(f"the function {name}")
    raise reader.unexpected_token_error("a query")


def _read_number(reader: TokenReader) -> float:
    sign = -1.0 if reader.is_next("-") else 1.0
    if reader.is_next("+", "-"):
        reader.advance()
    return sign * reader.expect_kind("number").value


def _read_vector_aggregation(reader: TokenReader, name: str, name_token: QueryToken) -> syntax.VectorAggregation:
    grouping = _read_grouping(reader)
    reader.expect("(")
    parameter = None
    with reader.parentheses():
        if name in _RANKING_FUNCTIONS:
            number = reader.expect_kind("number")
            if not number.value.is_integer() or number.value < 1:
                raise reader.error(f"invalid parameter {name}({number.text},", number)
            parameter = int(number.value)
            reader.expect(",")
        operand = _read_metric_query(reader, 0)
    if isinstance(operand, syntax.NumberLiteral):
        raise reader.error(f"{name} of a literal: expecting a metric query", name_token)
    grouping = grouping or _read_grouping(reader)
    if grouping and name in _ORDERING_FUNCTIONS:
        raise reader.error(f"grouping not allowed for {name} aggregation", name_token)
    return syntax.VectorAggregation(name, operand, parameter, grouping)
