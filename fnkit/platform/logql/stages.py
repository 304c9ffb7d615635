"""Parses the stages after a selector: line filters, label filters, parsers and formats."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, cast

from fnkit.platform.logql.conditions import MATCH_OPERATORS, begins_condition, read_condition, read_matcher
from fnkit.platform.logql.json_paths import read_json_path
from fnkit.platform.logql.pattern_parser import check_pattern_parser
from fnkit.platform.logql.patterns import capture_names, check_pattern
from fnkit.platform.logql.reading import TokenReader
from fnkit.platform.logql.syntax import (
    Assignment,
    Conversion,
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
    return reader.at(*_LINE_OPERATORS, *_PATTERN_FILTERS) or (reader.at("|") and not begins_unwrap(reader))


def begins_unwrap(reader: TokenReader) -> bool:
    """Return whether ``| unwrap`` starts at the current token."""
    following = reader.following
    return reader.at("|") and following.kind == "name" and following.text.lower() == "unwrap"


def read_stage(reader: TokenReader) -> Stage:
    """Parse a stage."""
    if reader.at(*_PATTERN_FILTERS):
        raise reader.unsupported(f"the pattern filter {reader.token.text}")
    if not reader.accept("|"):
        return _line_filter(reader)
    token = reader.token
    name = token.text.lower() if token.kind == "name" else ""
    if name in _READERS:
        reader.take()
        return _READERS[name](reader)
    if name in ("unpack", "distinct"):
        raise reader.unsupported(f"the stage {name}")
    if not begins_condition(reader):
        raise reader.unexpected("a stage")
    return LabelFilter(read_condition(reader))


def read_unwrap(reader: TokenReader) -> Unwrap:
    """Parse ``| unwrap label`` or ``| unwrap duration(label)``, and the label filters after it."""
    reader.expect("|")
    reader.take()
    name = reader.expect_kind("name")
    conversion: Conversion = ""
    if reader.accept("("):
        if name.text.lower() not in _CONVERSIONS:
            raise reader.refused(f"syntax error: unexpected {name.text!r}, expecting one of {_CONVERSIONS}", name)
        conversion = cast("Conversion", name.text.lower())
        name = reader.expect_kind("name")
        reader.expect(")")
    filters = []
    while reader.accept("|"):
        filters.append(read_condition(reader))
    return Unwrap(name.text, conversion, tuple(filters))


def _line_filter(reader: TokenReader) -> LineFilter:
    operator = cast("LineOperator", reader.take().text)
    texts = [_filtered(reader, operator)]
    while reader.accept_word("or"):
        texts.append(_filtered(reader, operator))
    return LineFilter(operator, tuple(texts))


def _filtered(reader: TokenReader, operator: LineOperator) -> str:
    if reader.at_word("ip"):
        raise reader.unsupported("ip()")
    token = reader.token
    text = reader.expect_kind("string").text
    if operator in ("|~", "!~"):
        check_pattern(text, lambda message: reader.refused(message, token))
    return text


def _json(reader: TokenReader) -> JsonParser:
    return JsonParser(_extractions(reader, is_json=True))


def _logfmt(reader: TokenReader) -> LogfmtParser:
    flags = set()
    while reader.token.kind == "flag":
        if reader.token.text not in ("--strict", "--keep-empty"):
            raise reader.unexpected("--strict", "--keep-empty")
        flags.add(reader.take().text)
    return LogfmtParser(_extractions(reader, is_json=False), "--strict" in flags, "--keep-empty" in flags)


def _extractions(reader: TokenReader, *, is_json: bool) -> tuple[Extraction, ...]:
    found: list[Extraction] = []
    while reader.token.kind == "name":
        name = reader.take()
        expression = name.text
        if reader.accept("="):
            token = reader.token
            expression = reader.expect_kind("string").text
            if is_json and read_json_path(expression) is None:
                raise reader.refused(f"cannot parse expression [{expression[:64]}]", token)
        found.append(Extraction(name.text, expression))
        if not reader.accept(","):
            break
    else:
        if found:
            raise reader.unexpected("IDENTIFIER")
    return tuple(found)


def _regexp(reader: TokenReader) -> RegexpParser:
    token = reader.token
    pattern = reader.expect_kind("string").text
    check_pattern(pattern, lambda message: reader.refused(message, token))
    if not capture_names(pattern):
        raise reader.refused("at least one named capture must be supplied", token)
    return RegexpParser(pattern)


def _pattern(reader: TokenReader) -> PatternParser:
    token = reader.token
    pattern = reader.expect_kind("string").text
    if reason := check_pattern_parser(pattern):
        raise reader.refused(reason, token)
    return PatternParser(pattern)


def _line_format(reader: TokenReader) -> LineFormat:
    return LineFormat(_template(reader))


def _template(reader: TokenReader) -> str:
    token = reader.token
    template = reader.expect_kind("string").text
    if reason := check_template(template):
        raise reader.refused(reason, token)
    return template


def _label_format(reader: TokenReader) -> LabelFormat:
    assignments = []
    while True:
        label = reader.expect_kind("name").text
        reader.expect("=")
        if reader.token.kind == "string":
            assignments.append(Assignment(label, _template(reader), is_template=True))
        else:
            assignments.append(Assignment(label, reader.expect_kind("name").text, is_template=False))
        if not reader.accept(","):
            return LabelFormat(tuple(assignments))


def _named(reader: TokenReader) -> tuple[str | Matcher, ...]:
    labels: list[str | Matcher] = []
    while True:
        following = reader.following
        if following.kind == "symbol" and following.text in MATCH_OPERATORS:
            labels.append(read_matcher(reader))
        else:
            labels.append(reader.expect_kind("name").text)
        if not reader.accept(","):
            return tuple(labels)


_READERS: Final[dict[str, Callable[[TokenReader], Stage]]] = {
    "json": _json,
    "logfmt": _logfmt,
    "regexp": _regexp,
    "pattern": _pattern,
    "line_format": _line_format,
    "label_format": _label_format,
    "drop": lambda reader: Drop(_named(reader)),
    "keep": lambda reader: Keep(_named(reader)),
    "decolorize": lambda _reader: Decolorize(),
}
