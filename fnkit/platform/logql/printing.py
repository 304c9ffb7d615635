"""Prints a syntax tree as a query; parsing the result returns an equal tree."""

from __future__ import annotations

from typing import Final, assert_never

from fnkit.platform.logql.syntax import (
    AllOf,
    AnyOf,
    BinaryOperation,
    Comparison,
    Condition,
    Decolorize,
    Drop,
    Extraction,
    Grouping,
    JsonParser,
    Keep,
    LabelFilter,
    LabelFormat,
    LineFilter,
    LineFormat,
    LogfmtParser,
    LogQuery,
    LogRange,
    Matcher,
    Number,
    PatternParser,
    Query,
    RangeAggregation,
    RegexpParser,
    Stage,
    Unwrap,
    Vector,
    VectorAggregation,
)
from fnkit.platform.logql.units import format_duration

__all__ = ["format_labels", "format_number", "print_query", "quoted"]

_ESCAPES: Final = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def print_query(query: Query) -> str:
    """Return the text of a query in canonical form."""
    match query:
        case LogQuery():
            return _log_query(query)
        case RangeAggregation():
            parameter = "" if query.parameter is None else f"{format_number(query.parameter)}, "
            return f"{query.function}({parameter}{_log_range(query.log_range)}){_grouping(query.grouping)}"
        case VectorAggregation():
            parameter = "" if query.parameter is None else f"{query.parameter}, "
            return f"{query.function}{_grouping(query.grouping)} ({parameter}{print_query(query.operand)})"
        case BinaryOperation():
            as_bool = " bool" if query.as_bool else ""
            how = "on" if query.matching.on else "ignoring"
            labels = query.matching.labels
            matching = f" {how} ({', '.join(labels)})" if labels or query.matching.on else ""
            return f"({print_query(query.left)} {query.operator}{as_bool}{matching} {print_query(query.right)})"
        case Number():
            return format_number(query.value)
        case Vector():
            return f"vector({format_number(query.value)})"
        case _:
            assert_never(query)


def quoted(text: str) -> str:
    """Return a text in double quotes with the escapes of Go."""
    return f'"{text.translate(_ESCAPES)}"'


def format_labels(labels: dict[str, str]) -> str:
    """Return labels in the syntax of a selector, sorted by name."""
    return "{" + ", ".join(f"{name}={quoted(labels[name])}" for name in sorted(labels)) + "}"


def format_number(value: float) -> str:
    """Format a number, without ``.0`` for integers.

    >>> format_number(2.0), format_number(0.25), format_number(-3.0)
    ('2', '0.25', '-3')
    """
    text = repr(value)
    return text.removesuffix(".0")


def _log_query(query: LogQuery) -> str:
    return " ".join([_selector(query.selector), *(_stage(stage) for stage in query.stages)])


def _selector(matchers: tuple[Matcher, ...]) -> str:
    return "{" + ", ".join(_matcher(matcher) for matcher in matchers) + "}"


def _matcher(matcher: Matcher) -> str:
    return f"{matcher.name}{matcher.operator}{quoted(matcher.value)}"


def _log_range(log_range: LogRange) -> str:
    unwrap = f" {_unwrap(log_range.unwrap)}" if log_range.unwrap else ""
    offset = f" offset {format_duration(log_range.offset)}" if log_range.offset else ""
    return f"{_log_query(log_range.query)}{unwrap} [{format_duration(log_range.interval)}]{offset}"


def _unwrap(unwrap: Unwrap) -> str:
    label = f"{unwrap.conversion}({unwrap.label})" if unwrap.conversion else unwrap.label
    return " ".join([f"| unwrap {label}", *(f"| {_condition(condition)}" for condition in unwrap.filters)])


def _grouping(grouping: Grouping | None) -> str:
    if grouping is None:
        return ""
    return f" {'without' if grouping.without else 'by'} ({', '.join(grouping.labels)})"


def _stage(stage: Stage) -> str:
    match stage:
        case LineFilter():
            return f"{stage.operator} {' or '.join(quoted(text) for text in stage.texts)}"
        case LabelFilter():
            return f"| {_condition(stage.condition)}"
        case JsonParser() | LogfmtParser() | RegexpParser() | PatternParser():
            return _parser(stage)
        case LabelFormat() | LineFormat() | Decolorize():
            return _format(stage)
        case Drop() | Keep():
            return f"| {'keep' if isinstance(stage, Keep) else 'drop'} {_named(stage.labels)}"
        case _:
            assert_never(stage)


def _format(stage: LabelFormat | LineFormat | Decolorize) -> str:
    match stage:
        case LabelFormat():
            assignments = (f"{a.label}={quoted(a.value) if a.is_template else a.value}" for a in stage.assignments)
            return f"| label_format {', '.join(assignments)}"
        case LineFormat():
            return f"| line_format {quoted(stage.template)}"
        case Decolorize():
            return "| decolorize"
        case _:
            assert_never(stage)


def _parser(stage: JsonParser | LogfmtParser | RegexpParser | PatternParser) -> str:
    match stage:
        case JsonParser():
            return f"| json{_extractions(stage.extractions)}"
        case LogfmtParser():
            flags = (" --strict" if stage.strict else "") + (" --keep-empty" if stage.keep_empty else "")
            return f"| logfmt{flags}{_extractions(stage.extractions)}"
        case RegexpParser():
            return f"| regexp {quoted(stage.pattern)}"
        case PatternParser():
            return f"| pattern {quoted(stage.pattern)}"
        case _:
            assert_never(stage)


def _extractions(extractions: tuple[Extraction, ...]) -> str:
    text = ", ".join(f"{extraction.label}={quoted(extraction.expression)}" for extraction in extractions)
    return f" {text}" if text else ""


def _named(labels: tuple[str | Matcher, ...]) -> str:
    return ", ".join(label if isinstance(label, str) else _matcher(label) for label in labels)


def _condition(condition: Condition) -> str:
    match condition:
        case Matcher():
            return _matcher(condition)
        case Comparison():
            return f"{condition.name} {condition.operator} {_compared(condition)}"
        case AllOf():
            return f"({_condition(condition.left)} and {_condition(condition.right)})"
        case AnyOf():
            return f"({_condition(condition.left)} or {_condition(condition.right)})"
        case _:
            assert_never(condition)


def _compared(comparison: Comparison) -> str:
    match comparison.unit:
        case "duration":
            return format_duration(int(comparison.value))
        case "size":
            return f"{int(comparison.value)}B"
        case _:
            return format_number(comparison.value)
