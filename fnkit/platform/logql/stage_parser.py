"""Parses the stages after a selector: line filters, label filters, parsers and formats."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, cast

from fnkit.platform.logql import syntax
from fnkit.platform.logql.extractors import check_extraction_pattern, check_json_path
from fnkit.platform.logql.lexer import TokenReader
from fnkit.platform.logql.pipeline import check_template
from fnkit.platform.logql.regex import check_regex

_MATCH_OPERATORS: Final = ("=", "!=", "=~", "!~")
_COMPARISON_OPERATORS: Final = ("=", "==", "!=", ">", ">=", "<", "<=")
_PRECEDENCE: Final = {"or": 1, "and": 2}
_LINE_OPERATORS: Final = ("|=", "!=", "|~", "!~")
_PATTERN_FILTERS: Final = ("|>", "!>")
_CONVERSIONS: Final = ("duration", "duration_seconds", "bytes")


def read_matcher(reader: TokenReader) -> syntax.Matcher:
    """Parse ``name="value"``."""
    name = reader.expect_kind("name").text
    if not reader.is_next(*_MATCH_OPERATORS):
        raise reader.unexpected_token_error(*_MATCH_OPERATORS)
    operator = cast("syntax.MatchOperator", reader.advance().text)
    return _read_matcher_value(reader, name, operator)


def _begins_condition(reader: TokenReader) -> bool:
    """Return whether a label filter starts at the current token."""
    return reader.is_next("(") or reader.token.kind == "name"


def _read_condition(reader: TokenReader, min_precedence: int = 0) -> syntax.LabelCondition:
    """Parse a label filter.

    ``and`` binds tighter than ``or``. A comma, or nothing, between two filters means ``and`` with everything that
    follows, which is how Loki's grammar resolves the ambiguity.

    Args:
        reader: The tokens.
        min_precedence: Parse only operators that bind tighter than this (precedence climbing).
    """
    left = _read_single_condition(reader)
    while True:
        if reader.is_next(",") or (_begins_condition(reader) and not reader.is_next(*_PRECEDENCE)):
            reader.accept(",")
            reader.count_operation()
            return syntax.LabelOperation("and", left, _read_condition(reader))
        operator = cast("syntax.LabelOperator", reader.token.text.lower())
        if not reader.is_next(*_PRECEDENCE) or _PRECEDENCE[operator] <= min_precedence:
            return left
        reader.advance()
        reader.count_operation()
        left = syntax.LabelOperation(operator, left, _read_condition(reader, _PRECEDENCE[operator]))


def _read_single_condition(reader: TokenReader) -> syntax.LabelCondition:
    if reader.accept("("):
        with reader.parentheses():
            return _read_condition(reader)
    name = reader.expect_kind("name").text
    if not reader.is_next(*_COMPARISON_OPERATORS, *_MATCH_OPERATORS):
        raise reader.unexpected_token_error(*_COMPARISON_OPERATORS, "=~", "!~")
    operator = reader.advance().text
    if reader.is_next("ip"):
        raise reader.unsupported_error("ip()")
    if reader.token.kind == "string" and operator in _MATCH_OPERATORS:
        return _read_matcher_value(reader, name, cast("syntax.MatchOperator", operator))
    return _read_comparison(reader, name, operator)


def _read_matcher_value(reader: TokenReader, name: str, operator: syntax.MatchOperator) -> syntax.Matcher:
    return syntax.Matcher(name, operator, _read_text(reader, is_pattern=operator in ("=~", "!~")))


def _read_text(reader: TokenReader, *, is_pattern: bool) -> str:
    return reader.expect_string(check_regex) if is_pattern else reader.expect_kind("string").text


def _read_comparison(reader: TokenReader, name: str, operator: str) -> syntax.LabelComparison:
    if operator in ("=~", "!~"):
        raise reader.unexpected_token_error("STRING")
    sign = -1.0 if reader.accept("-") else 1.0
    if sign > 0:
        reader.accept("+")
    kind = "==" if operator == "=" else cast("syntax.ComparisonOperator", operator)
    match reader.token.kind:
        case "number" | "duration" | "size" as unit:
            return syntax.LabelComparison(name, kind, sign * reader.advance().value, unit)
        case _:
            raise reader.unexpected_token_error("STRING", "NUMBER", "DURATION", "BYTES")


def begins_stage(reader: TokenReader) -> bool:
    """Return whether a stage other than ``unwrap`` starts at the current token."""
    return reader.is_next(*_LINE_OPERATORS, *_PATTERN_FILTERS) or (
        reader.is_next("|") and not begins_unwrap(reader)
    )


def begins_unwrap(reader: TokenReader) -> bool:
    """Return whether ``| unwrap`` starts at the current token."""
    following = reader.lookahead
    return reader.is_next("|") and following.kind == "name" and following.text.lower() == "unwrap"


def read_stage(reader: TokenReader) -> syntax.Stage:
    """Parse a stage."""
    if reader.is_next(*_PATTERN_FILTERS):
        raise reader.unsupported_error(f"the pattern filter {reader.token.text}")
    if not reader.accept("|"):
        return _read_line_filter(reader)
    token = reader.token
    name = token.text.lower() if token.kind == "name" else ""
    if name in _STAGE_READERS:
        reader.advance()
        return _STAGE_READERS[name](reader)
    if name in ("unpack", "distinct"):
        raise reader.unsupported_error(f"the stage {name}")
    if not _begins_condition(reader):
        raise reader.unexpected_token_error("a stage")
    return syntax.LabelFilter(_read_condition(reader))


def read_unwrap(reader: TokenReader) -> syntax.Unwrap:
    """Parse ``| unwrap label`` or ``| unwrap duration(label)``, and the label filters after it."""
    reader.expect("|")
    reader.advance()
    name = reader.expect_kind("name")
    conversion: syntax.UnwrapConversion = ""
    if reader.accept("("):
        if name.text.lower() not in _CONVERSIONS:
            raise reader.error(f"syntax error: unexpected {name.text!r}, expecting one of {_CONVERSIONS}", name)
        conversion = cast("syntax.UnwrapConversion", name.text.lower())
        name = reader.expect_kind("name")
        reader.expect(")")
    filters = []
    while reader.accept("|"):
        filters.append(_read_condition(reader))
    return syntax.Unwrap(name.text, conversion, tuple(filters))


def _read_line_filter(reader: TokenReader) -> syntax.LineFilter:
    operator = cast("syntax.LineOperator", reader.advance().text)
    texts = [_read_filter_text(reader, operator)]
    while reader.accept("or"):
        texts.append(_read_filter_text(reader, operator))
    return syntax.LineFilter(operator, tuple(texts))


def _read_filter_text(reader: TokenReader, operator: syntax.LineOperator) -> str:
    if reader.is_next("ip"):
        raise reader.unsupported_error("ip()")
    return _read_text(reader, is_pattern=operator in ("|~", "!~"))


def _read_logfmt(reader: TokenReader) -> syntax.LogfmtParser:
    flags = set()
    while reader.token.kind == "flag":
        if reader.token.text not in ("--strict", "--keep-empty"):
            raise reader.unexpected_token_error("--strict", "--keep-empty")
        flags.add(reader.advance().text)
    return syntax.LogfmtParser(
        _read_extractions(reader, is_json=False), "--strict" in flags, "--keep-empty" in flags
    )


def _read_extractions(reader: TokenReader, *, is_json: bool) -> tuple[syntax.Extraction, ...]:
    found: list[syntax.Extraction] = []
    while reader.token.kind == "name":
        name = reader.advance()
        expression = name.text
        if reader.accept("="):
            expression = reader.expect_string(check_json_path) if is_json else reader.expect_kind("string").text
        found.append(syntax.Extraction(name.text, expression))
        if not reader.accept(","):
            break
    else:
        if found:
            raise reader.unexpected_token_error("IDENTIFIER")
    return tuple(found)


def _read_label_format(reader: TokenReader) -> syntax.LabelFormat:
    assignments = []
    while True:
        label = reader.expect_kind("name").text
        reader.expect("=")
        if reader.token.kind == "string":
            assignments.append(
                syntax.LabelAssignment(label, reader.expect_string(check_template), is_template=True)
            )
        else:
            assignments.append(syntax.LabelAssignment(label, reader.expect_kind("name").text, is_template=False))
        if not reader.accept(","):
            return syntax.LabelFormat(tuple(assignments))


def _read_label_list(reader: TokenReader) -> tuple[str | syntax.Matcher, ...]:
    labels: list[str | syntax.Matcher] = []
    while True:
        following = reader.lookahead
        if following.kind == "symbol" and following.text in _MATCH_OPERATORS:
            labels.append(read_matcher(reader))
        else:
            labels.append(reader.expect_kind("name").text)
        if not reader.accept(","):
            return tuple(labels)


_STAGE_READERS: Final[dict[str, Callable[[TokenReader], syntax.Stage]]] = {
    "json": lambda reader: syntax.JsonParser(_read_extractions(reader, is_json=True)),
    "logfmt": _read_logfmt,
    "regexp": lambda reader: syntax.RegexpParser(reader.expect_string(partial(check_regex, needs_group=True))),
    "pattern": lambda reader: syntax.PatternParser(reader.expect_string(check_extraction_pattern)),
    "line_format": lambda reader: syntax.LineFormat(reader.expect_string(check_template)),
    "label_format": _read_label_format,
    "drop": lambda reader: syntax.LabelSelection(_read_label_list(reader), keeps=False),
    "keep": lambda reader: syntax.LabelSelection(_read_label_list(reader), keeps=True),
    "decolorize": lambda _reader: syntax.Decolorize(),
}
