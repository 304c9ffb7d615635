"""Parses a query into its syntax tree: recursive descent, with precedence climbing for binary operators.

Operators from lowest to highest precedence: ``or``; ``and unless``; comparisons; ``+ -``; ``* / %``; ``^``, which
is right-associative. Stages and label filters are parsed in ``stage_parser``.
"""

from __future__ import annotations

from typing import Final

from fnkit.platform.logql.groupings import read_grouping, read_label_names
from fnkit.platform.logql.lexing import QueryToken
from fnkit.platform.logql.log_queries import read_log_query
from fnkit.platform.logql.range_aggregations import RANGE_FUNCTIONS, read_range_aggregation
from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.syntax import (
    BinaryOperation,
    LogQuery,
    Matcher,
    VectorMatching,
    MetricQuery,
    NumberLiteral,
    Query,
    VectorLiteral,
    VectorAggregation,
)

__all__ = ["parse_log_query", "parse_query", "parse_selector"]

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
COMPARISON_OPERATORS: Final = frozenset({"==", "!=", ">", ">=", "<", "<="})


def parse_query(text: str) -> Query:
    """Parse a query.

    Raises:
        QueryError: The query is invalid or unsupported; the message has the line and column.
    """
    reader = TokenReader(text)
    query = read_log_query(reader) if _is_log_query(reader) else _read_metric_query(reader, 0)
    if reader.token.kind != "end":
        raise reader.unexpected_token_error()
    return query


def parse_log_query(text: str) -> LogQuery:
    """Parse a log query.

    Raises:
        QueryError: The query is invalid, unsupported or a metric query.
    """
    query = parse_query(text)
    if not isinstance(query, LogQuery):
        raise TokenReader(text).error("only log queries are supported here")
    return query


def parse_selector(text: str) -> tuple[Matcher, ...]:
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


def _read_metric_query(reader: TokenReader, min_precedence: int) -> MetricQuery:
    left = _read_operand(reader)
    while True:
        token = reader.token
        operator = token.text.lower() if token.kind in ("symbol", "name") else ""
        precedence = _PRECEDENCE.get(operator, 0)
        if precedence <= min_precedence:
            return left
        reader.advance()
        reader.count_operation()
        as_bool = reader.accept_word("bool")
        if as_bool and operator not in COMPARISON_OPERATORS:
            raise reader.error("bool modifier can only be used on comparison operators", token)
        matching = _read_matching(reader)
        # A lower limit makes the right operand take the next operator of equal precedence: right-associative.
        right = _read_metric_query(reader, precedence - 1 if precedence == _POWER_PRECEDENCE else precedence)
        if operator in ("and", "or", "unless") and any(isinstance(side, NumberLiteral) for side in (left, right)):
            raise reader.error(f"unexpected literal for a side of logical/set binary operation ({operator})", token)
        left = BinaryOperation(operator, left, right, as_bool, matching)


def _read_matching(reader: TokenReader) -> VectorMatching:
    matching = VectorMatching()
    if reader.is_word("on", "ignoring"):
        on = reader.advance().text.lower() == "on"
        matching = VectorMatching(read_label_names(reader), on)
    if reader.is_word("group_left", "group_right"):
        raise reader.unsupported_error(reader.token.text)
    return matching


def _read_operand(reader: TokenReader) -> MetricQuery:
    token = reader.token
    if token.kind == "number" or reader.is_symbol("+", "-"):
        return NumberLiteral(_read_number(reader))
    if reader.accept("("):
        reader.enter_nesting()
        inner = _read_metric_query(reader, 0)
        reader.expect(")")
        reader.leave_nesting()
        return inner
    if token.kind != "name":
        raise reader.unexpected_token_error("a query")
    name = token.text.lower()
    if name == "vector":
        reader.advance()
        reader.expect("(")
        value = _read_number(reader)
        reader.expect(")")
        return VectorLiteral(value)
    if name in RANGE_FUNCTIONS:
        reader.advance()
        return read_range_aggregation(reader, name, token)
    if name in _VECTOR_FUNCTIONS | _ORDERING_FUNCTIONS | _RANKING_FUNCTIONS:
        reader.advance()
        return _read_vector_aggregation(reader, name, token)
    if name in _UNSUPPORTED_FUNCTIONS:
        raise reader.unsupported_error(f"the function {name}")
    raise reader.unexpected_token_error("a query")


def _read_number(reader: TokenReader) -> float:
    sign = -1.0 if reader.is_symbol("-") else 1.0
    if reader.is_symbol("+", "-"):
        reader.advance()
    return sign * reader.expect_kind("number").value


def _read_vector_aggregation(reader: TokenReader, name: str, name_token: QueryToken) -> VectorAggregation:
    grouping = read_grouping(reader)
    reader.expect("(")
    reader.enter_nesting()
    parameter = None
    if name in _RANKING_FUNCTIONS:
        number = reader.expect_kind("number")
        if not number.value.is_integer() or number.value < 1:
            raise reader.error(f"invalid parameter {name}({number.text},", number)
        parameter = int(number.value)
        reader.expect(",")
    operand = _read_metric_query(reader, 0)
    reader.expect(")")
    reader.leave_nesting()
    if isinstance(operand, NumberLiteral):
        raise reader.error(f"{name} of a literal: expecting a metric query", name_token)
    grouping = grouping or read_grouping(reader)
    if grouping and name in _ORDERING_FUNCTIONS:
        raise reader.error(f"grouping not allowed for {name} aggregation", name_token)
    return VectorAggregation(name, operand, parameter, grouping)
