"""Parses label matchers and label filters: ``level="error" or status >= 500 and took > 2s``."""

from __future__ import annotations

from typing import Final, cast

from fnkit.platform.logql.patterns import check_pattern
from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.syntax import (
    AllOf,
    AnyOf,
    Comparison,
    ComparisonOperator,
    Condition,
    Matcher,
    MatchOperator,
)

__all__ = ["MATCH_OPERATORS", "begins_condition", "read_condition", "read_matcher"]

MATCH_OPERATORS: Final = ("=", "!=", "=~", "!~")
_COMPARISONS: Final = ("=", "==", "!=", ">", ">=", "<", "<=")
_OR_PRECEDENCE: Final = 1
_AND_PRECEDENCE: Final = 2


def read_matcher(reader: TokenReader) -> Matcher:
    """Parse ``name="value"``."""
    name = reader.expect_kind("name").text
    if not reader.at(*MATCH_OPERATORS):
        raise reader.unexpected(*MATCH_OPERATORS)
    operator = cast("MatchOperator", reader.take().text)
    return _matcher(reader, name, operator)


def begins_condition(reader: TokenReader) -> bool:
    """Return whether a label filter starts at the current token."""
    return reader.at("(") or reader.token.kind == "name"


def read_condition(reader: TokenReader, min_precedence: int = 0) -> Condition:
    """Parse a label filter.

    ``and`` binds tighter than ``or``. A comma, or nothing, between two filters means ``and`` with everything that
    follows, which is how Loki's grammar resolves the ambiguity.

    Args:
        reader: The tokens.
        min_precedence: Parse only operators that bind tighter than this (precedence climbing).
    """
    left = _single(reader)
    while True:
        if reader.at(",") or (begins_condition(reader) and not reader.at_word("and", "or")):
            reader.accept(",")
            reader.count_operation()
            return AllOf(left, read_condition(reader))
        if min_precedence < _AND_PRECEDENCE and reader.at_word("and"):
            reader.take()
            reader.count_operation()
            left = AllOf(left, read_condition(reader, _AND_PRECEDENCE))
        elif min_precedence < _OR_PRECEDENCE and reader.at_word("or"):
            reader.take()
            reader.count_operation()
            left = AnyOf(left, read_condition(reader, _OR_PRECEDENCE))
        else:
            return left


def _single(reader: TokenReader) -> Condition:
    if reader.accept("("):
        reader.enter()
        inner = read_condition(reader)
        reader.expect(")")
        reader.leave()
        return inner
    name = reader.expect_kind("name").text
    if not reader.at(*_COMPARISONS, *MATCH_OPERATORS):
        raise reader.unexpected(*_COMPARISONS, "=~", "!~")
    operator = reader.take().text
    if reader.at_word("ip"):
        raise reader.unsupported("ip()")
    if reader.token.kind == "string" and operator in MATCH_OPERATORS:
        return _matcher(reader, name, cast("MatchOperator", operator))
    return _comparison(reader, name, operator)


def _matcher(reader: TokenReader, name: str, operator: MatchOperator) -> Matcher:
    token = reader.token
    value = reader.expect_kind("string").text
    if operator in ("=~", "!~"):
        check_pattern(value, lambda message: reader.refused(message, token))
    return Matcher(name, operator, value)


def _comparison(reader: TokenReader, name: str, operator: str) -> Comparison:
    if operator in ("=~", "!~"):
        raise reader.unexpected("STRING")
    sign = -1.0 if reader.accept("-") else 1.0
    if sign > 0:
        reader.accept("+")
    kind = "==" if operator == "=" else cast("ComparisonOperator", operator)
    match reader.token.kind:
        case "number":
            return Comparison(name, kind, sign * reader.take().value, "number")
        case "duration":
            return Comparison(name, kind, sign * reader.take().value, "duration")
        case "size":
            return Comparison(name, kind, sign * reader.take().value, "size")
        case _:
            raise reader.unexpected("STRING", "NUMBER", "DURATION", "BYTES")
