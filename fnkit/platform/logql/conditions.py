"""Parses label matchers and label filters: ``level="error" or status >= 500 and took > 2s``."""

from __future__ import annotations

from typing import Final, cast

from fnkit.platform.logql.patterns import check_regex
from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.syntax import (
    AllOf,
    AnyOf,
    LabelComparison,
    ComparisonOperator,
    LabelCondition,
    Matcher,
    MatchOperator,
)

__all__ = ["MATCH_OPERATORS", "begins_condition", "read_condition", "read_matcher"]

MATCH_OPERATORS: Final = ("=", "!=", "=~", "!~")
_COMPARISON_OPERATORS: Final = ("=", "==", "!=", ">", ">=", "<", "<=")
_OR_PRECEDENCE: Final = 1
_AND_PRECEDENCE: Final = 2


def read_matcher(reader: TokenReader) -> Matcher:
    """Parse ``name="value"``."""
    name = reader.expect_kind("name").text
    if not reader.is_symbol(*MATCH_OPERATORS):
        raise reader.unexpected_token_error(*MATCH_OPERATORS)
    operator = cast("MatchOperator", reader.advance().text)
    return _read_matcher_value(reader, name, operator)


def begins_condition(reader: TokenReader) -> bool:
    """Return whether a label filter starts at the current token."""
    return reader.is_symbol("(") or reader.token.kind == "name"


def read_condition(reader: TokenReader, min_precedence: int = 0) -> LabelCondition:
    """Parse a label filter.

    ``and`` binds tighter than ``or``. A comma, or nothing, between two filters means ``and`` with everything that
    follows, which is how Loki's grammar resolves the ambiguity.

    Args:
        reader: The tokens.
        min_precedence: Parse only operators that bind tighter than this (precedence climbing).
    """
    left = _read_single_condition(reader)
    while True:
        if reader.is_symbol(",") or (begins_condition(reader) and not reader.is_word("and", "or")):
            reader.accept(",")
            reader.count_operation()
            return AllOf(left, read_condition(reader))
        if min_precedence < _AND_PRECEDENCE and reader.is_word("and"):
            reader.advance()
            reader.count_operation()
            left = AllOf(left, read_condition(reader, _AND_PRECEDENCE))
        elif min_precedence < _OR_PRECEDENCE and reader.is_word("or"):
            reader.advance()
            reader.count_operation()
            left = AnyOf(left, read_condition(reader, _OR_PRECEDENCE))
        else:
            return left


def _read_single_condition(reader: TokenReader) -> LabelCondition:
    if reader.accept("("):
        reader.enter_nesting()
        inner = read_condition(reader)
        reader.expect(")")
        reader.leave_nesting()
        return inner
    name = reader.expect_kind("name").text
    if not reader.is_symbol(*_COMPARISON_OPERATORS, *MATCH_OPERATORS):
        raise reader.unexpected_token_error(*_COMPARISON_OPERATORS, "=~", "!~")
    operator = reader.advance().text
    if reader.is_word("ip"):
        raise reader.unsupported_error("ip()")
    if reader.token.kind == "string" and operator in MATCH_OPERATORS:
        return _read_matcher_value(reader, name, cast("MatchOperator", operator))
    return _read_comparison(reader, name, operator)


def _read_matcher_value(reader: TokenReader, name: str, operator: MatchOperator) -> Matcher:
    token = reader.token
    value = reader.expect_kind("string").text
    if operator in ("=~", "!~"):
        check_regex(value, lambda message: reader.error(message, token))
    return Matcher(name, operator, value)


def _read_comparison(reader: TokenReader, name: str, operator: str) -> LabelComparison:
    if operator in ("=~", "!~"):
        raise reader.unexpected_token_error("STRING")
    sign = -1.0 if reader.accept("-") else 1.0
    if sign > 0:
        reader.accept("+")
    kind = "==" if operator == "=" else cast("ComparisonOperator", operator)
    match reader.token.kind:
        case "number":
            return LabelComparison(name, kind, sign * reader.advance().value, "number")
        case "duration":
            return LabelComparison(name, kind, sign * reader.advance().value, "duration")
        case "size":
            return LabelComparison(name, kind, sign * reader.advance().value, "size")
        case _:
            raise reader.unexpected_token_error("STRING", "NUMBER", "DURATION", "BYTES")
