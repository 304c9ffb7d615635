"""Parses the stages after a selector: line filters, label filters, parsers and formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from fnkit.platform.logql.conditions import MATCH_OPERATORS, begins_condition, read_condition, read_matcher
from fnkit.platform.logql.json_paths import parse_json_path
from fnkit.platform.logql.pattern_parser import check_extraction_pattern
from fnkit.platform.logql.patterns import group_names, check_regex
from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.syntax import (
    LabelAssignment,
    UnwrapConversion,
    Decolorize,
    Drop,
    Extraction,
    JsonParser,
    Keep,
    LabelFilter,
    LabelFormat,
    LineFilter,
    LineFormat,
    LineOperator,
    LogfmtParser,
    Matcher,
    PatternParser,
    RegexpParser,
    Stage,
    Unwrap,
)
from fnkit.platform.logql.templates import check_template

__all__ = ["begins_stage", "begins_unwrap", "read_stage", "read_unwrap"]

_LINE_OPERATORS: Final = ("|=", "!=", "|~", "!~")
_PATTERN_FILTERS: Final = ("|>", "!>")
_CONVERSIONS: Final = ("duration", "duration_seconds", "bytes")


def begins_stage(reader: TokenReader) -> bool:
    """Return whether a stage other than ``unwrap`` starts at the current token."""
    return reader.is_symbol(*_LINE_OPERATORS, *_PATTERN_FILTERS) or (
        reader.is_symbol("|") and not begins_unwrap(reader)
    )


def begins_unwrap(reader: TokenReader) -> bool:
    """Return whether ``| unwrap`` starts at the current token."""
    following = reader.lookahead
    return reader.is_symbol("|") and following.kind == "name" and following.text.lower() == "unwrap"


def read_stage(reader: TokenReader) -> Stage:
    """Parse a stage."""
    if reader.is_symbol(*_PATTERN_FILTERS):
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
    if not begins_condition(reader):
        raise reader.unexpected_token_error("a stage")
    return LabelFilter(read_condition(reader))


def read_unwrap(reader: TokenReader) -> Unwrap:
    """Parse ``| unwrap label`` or ``| unwrap duration(label)``, and the label filters after it."""
    reader.expect("|")
    reader.advance()
    name = reader.expect_kind("name")
    conversion: UnwrapConversion = ""
    if reader.accept("("):
        if name.text.lower() not in _CONVERSIONS:
            raise reader.error(f"syntax error: unexpected {name.text!r}, expecting one of {_CONVERSIONS}", name)
        conversion = cast("UnwrapConversion", name.text.lower())
        name = reader.expect_kind("name")
        reader.expect(")")
    filters = []
    while reader.accept("|"):
        filters.append(read_condition(reader))
    return Unwrap(name.text, conversion, tuple(filters))


def _read_line_filter(reader: TokenReader) -> LineFilter:
    operator = cast("LineOperator", reader.advance().text)
    texts = [_read_filter_text(reader, operator)]
    while reader.accept_word("or"):
        texts.append(_read_filter_text(reader, operator))
    return LineFilter(operator, tuple(texts))


def _read_filter_text(reader: TokenReader, operator: LineOperator) -> str:
    if reader.is_word("ip"):
        raise reader.unsupported_error("ip()")
    token = reader.token
    text = reader.expect_kind("string").text
    if operator in ("|~", "!~"):
        check_regex(text, lambda message: reader.error(message, token))
    return text


def _read_json(reader: TokenReader) -> JsonParser:
    return JsonParser(_read_extractions(reader, is_json=True))


def _read_logfmt(reader: TokenReader) -> LogfmtParser:
    flags = set()
    while reader.token.kind == "flag":
        if reader.token.text not in ("--strict", "--keep-empty"):
            raise reader.unexpected_token_error("--strict", "--keep-empty")
        flags.add(reader.advance().text)
    return LogfmtParser(_read_extractions(reader, is_json=False), "--strict" in flags, "--keep-empty" in flags)


def _read_extractions(reader: TokenReader, *, is_json: bool) -> tuple[Extraction, ...]:
    found: list[Extraction] = []
    while reader.token.kind == "name":
        name = reader.advance()
        expression = name.text
        if reader.accept("="):
            token = reader.token
            expression = reader.expect_kind("string").text
            if is_json and parse_json_path(expression) is None:
                raise reader.error(f"cannot parse expression [{expression[:64]}]", token)
        found.append(Extraction(name.text, expression))
        if not reader.accept(","):
            break
    else:
        if found:
            raise reader.unexpected_token_error("IDENTIFIER")
    return tuple(found)


def _read_regexp(reader: TokenReader) -> RegexpParser:
    token = reader.token
    pattern = reader.expect_kind("string").text
    check_regex(pattern, lambda message: reader.error(message, token))
    if not group_names(pattern):
        raise reader.error("at least one named capture must be supplied", token)
    return RegexpParser(pattern)


def _read_pattern(reader: TokenReader) -> PatternParser:
    token = reader.token
    pattern = reader.expect_kind("string").text
    if reason := check_extraction_pattern(pattern):
        raise reader.error(reason, token)
    return PatternParser(pattern)


def _read_line_format(reader: TokenReader) -> LineFormat:
    return LineFormat(_read_template(reader))


def _read_template(reader: TokenReader) -> str:
    token = reader.token
    template = reader.expect_kind("string").text
    if reason := check_template(template):
        raise reader.error(reason, token)
    return template


def _read_label_format(reader: TokenReader) -> LabelFormat:
    assignments = []
    while True:
        label = reader.expect_kind("name").text
        reader.expect("=")
        if reader.token.kind == "string":
            assignments.append(LabelAssignment(label, _read_template(reader), is_template=True))
        else:
            assignments.append(LabelAssignment(label, reader.expect_kind("name").text, is_template=False))
        if not reader.accept(","):
            return LabelFormat(tuple(assignments))


def _read_label_list(reader: TokenReader) -> tuple[str | Matcher, ...]:
    labels: list[str | Matcher] = []
    while True:
        following = reader.lookahead
        if following.kind == "symbol" and following.text in MATCH_OPERATORS:
            labels.append(read_matcher(reader))
        else:
            labels.append(reader.expect_kind("name").text)
        if not reader.accept(","):
            return tuple(labels)


_STAGE_READERS: Final[dict[str, Callable[[TokenReader], Stage]]] = {
    "json": _read_json,
    "logfmt": _read_logfmt,
    "regexp": _read_regexp,
    "pattern": _read_pattern,
    "line_format": _read_line_format,
    "label_format": _read_label_format,
    "drop": lambda reader: Drop(_read_label_list(reader)),
    "keep": lambda reader: Keep(_read_label_list(reader)),
    "decolorize": lambda _reader: Decolorize(),
}
