"""Parses a query into its syntax tree: recursive descent, with precedence climbing for binary operators.

Operators from lowest to highest precedence: ``or``; ``and unless``; comparisons; ``+ -``; ``* / %``; ``^``, which
is right-associative. Stages and label filters are parsed in ``stage_parser``.
"""

from __future__ import annotations

from typing import Final

from fnkit.platform.logql.groupings import read_grouping, read_labels
from fnkit.platform.logql.lexing import Token
from fnkit.platform.logql.log_queries import read_log_query
from fnkit.platform.logql.range_aggregations import RANGE_FUNCTIONS, read_range_aggregation
from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.syntax import (
    BinaryOperation,
    LogQuery,
    Matcher,
    Matching,
    MetricQuery,
    Number,
    Query,
    Vector,
    VectorAggregation,
)

__all__ = ["parse_log_query", "parse_query", "parse_selector"]

_VECTOR_FUNCTIONS: Final = frozenset({"sum", "min", "max", "avg", "count", "stddev", "stdvar"})
_ORDERING_FUNCTIONS: Final = frozenset({"sort", "sort_desc"})
_CHOOSING_FUNCTIONS: Final = frozenset({"topk", "bottomk"})
_UNSUPPORTED_FUNCTIONS: Final = frozenset({"label_replace", "approx_topk", "variants", "rate_counter"})
_POWER: Final = 6
_BINDING: Final = {
    "or": 1,
    **dict.fromkeys(("and", "unless"), 2),
    **dict.fromkeys(("==", "!=", ">", ">=", "<", "<="), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/", "%"), 5),
    "^": _POWER,
}
COMPARISONS: Final = frozenset({"==", "!=", ">", ">=", "<", "<="})


def parse_query(text: str) -> Query:
    """Parse a query.

    Raises:
        QueryError: The query is invalid or unsupported; the message has the line and column.
    """
    reader = TokenReader(text)
    query = read_log_query(reader) if _is_log_query(reader) else _metric(reader, 0)
    if reader.token.kind != "end":
        raise reader.unexpected()
    return query


def parse_log_query(text: str) -> LogQuery:
    """Parse a log query.

    Raises:
        QueryError: The query is invalid, unsupported or a metric query.
    """
    query = parse_query(text)
    if not isinstance(query, LogQuery):
        raise TokenReader(text).refused("only log queries are supported here")
    return query


def parse_selector(text: str) -> tuple[Matcher, ...]:
    """Parse a selector ``{…}`` without stages, which limits lists of labels and series.

    Raises:
        QueryError: The text is not a selector.
    """
    query = parse_log_query(text)
    if query.stages:
        raise TokenReader(text).refused("only label matchers are supported")
    return query.selector


def _is_log_query(reader: TokenReader) -> bool:
    """Return whether the first token that is not an opening parenthesis starts a selector."""
    return next((token.text == "{" for token in reader.rest() if token.text != "("), False)


def _metric(reader: TokenReader, min_precedence: int) -> MetricQuery:
    left = _single(reader)
    while True:
        token = reader.token
        operator = token.text.lower() if token.kind in ("symbol", "name") else ""
        precedence = _BINDING.get(operator, 0)
        if precedence <= min_precedence:
            return left
        reader.take()
        reader.count_operation()
        as_bool = reader.accept_word("bool")
        if as_bool and operator not in COMPARISONS:
            raise reader.refused("bool modifier can only be used on comparison operators", token)
        matching = _matching(reader)
        # A lower limit makes the right operand take the next operator of equal precedence: right-associative.
        right = _metric(reader, precedence - 1 if precedence == _POWER else precedence)
        if operator in ("and", "or", "unless") and any(isinstance(side, Number) for side in (left, right)):
            raise reader.refused(
                f"unexpected literal for a side of logical/set binary operation ({operator})", token
            )
        left = BinaryOperation(operator, left, right, as_bool, matching)


def _matching(reader: TokenReader) -> Matching:
    matching = Matching()
    if reader.at_word("on", "ignoring"):
        on = reader.take().text.lower() == "on"
        matching = Matching(read_labels(reader), on)
    if reader.at_word("group_left", "group_right"):
        raise reader.unsupported(reader.token.text)
    return matching


def _single(reader: TokenReader) -> MetricQuery:
    token = reader.token
    if token.kind == "number" or reader.at("+", "-"):
        return Number(_number(reader))
    if reader.accept("("):
        reader.enter()
        inner = _metric(reader, 0)
        reader.expect(")")
        reader.leave()
        return inner
    if token.kind != "name":
        raise reader.unexpected("a query")
    name = token.text.lower()
    if name == "vector":
        reader.take()
        reader.expect("(")
        value = _number(reader)
        reader.expect(")")
        return Vector(value)
    if name in RANGE_FUNCTIONS:
        reader.take()
        return read_range_aggregation(reader, name, token)
    if name in _VECTOR_FUNCTIONS | _ORDERING_FUNCTIONS | _CHOOSING_FUNCTIONS:
        reader.take()
        return _vector_aggregation(reader, name, token)
    if name in _UNSUPPORTED_FUNCTIONS:
        raise reader.unsupported(f"the function {name}")
    raise reader.unexpected("a query")


def _number(reader: TokenReader) -> float:
    sign = -1.0 if reader.at("-") else 1.0
    if reader.at("+", "-"):
        reader.take()
    return sign * reader.expect_kind("number").value


def _vector_aggregation(reader: TokenReader, name: str, name_token: Token) -> VectorAggregation:
    grouping = read_grouping(reader)
    reader.expect("(")
    reader.enter()
    parameter = None
    if name in _CHOOSING_FUNCTIONS:
        number = reader.expect_kind("number")
        if not number.value.is_integer() or number.value < 1:
            raise reader.refused(f"invalid parameter {name}({number.text},", number)
        parameter = int(number.value)
        reader.expect(",")
    operand = _metric(reader, 0)
    reader.expect(")")
    reader.leave()
    if isinstance(operand, Number):
        raise reader.refused(f"{name} of a literal: expecting a metric query", name_token)
    grouping = grouping or read_grouping(reader)
    if grouping and name in _ORDERING_FUNCTIONS:
        raise reader.refused(f"grouping not allowed for {name} aggregation", name_token)
    return VectorAggregation(name, operand, parameter, grouping)
