"""Prints a syntax tree as a query; parsing the result returns an equal tree."""

from __future__ import annotations

from typing import Final, assert_never

from fnkit.platform.logql.syntax import (
    AllOf,
    AnyOf,
    BinaryOperation,
    Decolorize,
    Drop,
    Extraction,
    Grouping,
    JsonParser,
    Keep,
    LabelComparison,
    LabelCondition,
    LabelFilter,
    LabelFormat,
    LineFilter,
    LineFormat,
    LogfmtParser,
    LogQuery,
    LogRange,
    Matcher,
    NumberLiteral,
    PatternParser,
    Query,
    RangeAggregation,
    RegexpParser,
    Stage,
    Unwrap,
    VectorAggregation,
    VectorLiteral,
)
from fnkit.platform.logql.units import format_duration

__all__ = ["format_labels", "format_number", "print_query", "quote"]

_ESCAPES: Final = str.maketrans({'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def print_query(query: Query) -> str:
    """Return the text of a query in canonical form."""
    match query:
        case LogQuery():
            return _print_log_query(query)
        case RangeAggregation():
            parameter = "" if query.parameter is None else f"{format_number(query.parameter)}, "
            return (
                f"{query.function}({parameter}{_print_log_range(query.log_range)}){_print_grouping(query.grouping)}"
            )
        case VectorAggregation():
            parameter = "" if query.parameter is None else f"{query.parameter}, "
            return f"{query.function}{_print_grouping(query.grouping)} ({parameter}{print_query(query.operand)})"
        case BinaryOperation():
            as_bool = " bool" if query.as_bool else ""
            how = "on" if query.matching.on else "ignoring"
            labels = query.matching.labels
            matching = f" {how} ({', '.join(labels)})" if labels or query.matching.on else ""
            return f"({print_query(query.left)} {query.operator}{as_bool}{matching} {print_query(query.right)})"
        case NumberLiteral():
            return format_number(query.value)
        case VectorLiteral():
            return f"vector({format_number(query.value)})"
        case _:
            assert_never(query)


def quote(text: str) -> str:
    """Return a text in double quotes with the escapes of Go."""
    return f'"{text.translate(_ESCAPES)}"'


def format_labels(labels: dict[str, str]) -> str:
    """Return labels in the syntax of a selector, sorted by name."""
    return "{" + ", ".join(f"{name}={quote(labels[name])}" for name in sorted(labels)) + "}"


def format_number(value: float) -> str:
    """Format a number, without ``.0`` for integers.

    >>> format_number(2.0), format_number(0.25), format_number(-3.0)
    ('2', '0.25', '-3')
    """
    text = repr(value)
    return text.removesuffix(".0")


def _print_log_query(query: LogQuery) -> str:
    return " ".join([_print_selector(query.selector), *(_print_stage(stage) for stage in query.stages)])


def _print_selector(matchers: tuple[Matcher, ...]) -> str:
    return "{" + ", ".join(_print_matcher(matcher) for matcher in matchers) + "}"


def _print_matcher(matcher: Matcher) -> str:
    return f"{matcher.name}{matcher.operator}{quote(matcher.value)}"


def _print_log_range(log_range: LogRange) -> str:
    unwrap = f" {_print_unwrap(log_range.unwrap)}" if log_range.unwrap else ""
    offset = f" offset {format_duration(log_range.offset)}" if log_range.offset else ""
    return f"{_print_log_query(log_range.query)}{unwrap} [{format_duration(log_range.interval)}]{offset}"


def _print_unwrap(unwrap: Unwrap) -> str:
    label = f"{unwrap.conversion}({unwrap.label})" if unwrap.conversion else unwrap.label
    return " ".join([f"| unwrap {label}", *(f"| {_print_condition(condition)}" for condition in unwrap.filters)])


def _print_grouping(grouping: Grouping | None) -> str:
    if grouping is None:
        return ""
    return f" {'without' if grouping.without else 'by'} ({', '.join(grouping.labels)})"


def _print_stage(stage: Stage) -> str:
    match stage:
        case LineFilter():
            return f"{stage.operator} {' or '.join(quote(text) for text in stage.texts)}"
        case LabelFilter():
            return f"| {_print_condition(stage.condition)}"
        case JsonParser() | LogfmtParser() | RegexpParser() | PatternParser():
            return _print_parser(stage)
        case LabelFormat() | LineFormat() | Decolorize():
            return _print_format(stage)
        case Drop() | Keep():
            return f"| {'keep' if isinstance(stage, Keep) else 'drop'} {_print_label_list(stage.labels)}"
        case _:
            assert_never(stage)


def _print_format(stage: LabelFormat | LineFormat | Decolorize) -> str:
    match stage:
        case LabelFormat():
            assignments = (f"{a.label}={quote(a.value) if a.is_template else a.value}" for a in stage.assignments)
            return f"| label_format {', '.join(assignments)}"
        case LineFormat():
            return f"| line_format {quote(stage.template)}"
        case Decolorize():
            return "| decolorize"
        case _:
            assert_never(stage)


def _print_parser(stage: JsonParser | LogfmtParser | RegexpParser | PatternParser) -> str:
    match stage:
        case JsonParser():
            return f"| json{_print_extractions(stage.extractions)}"
        case LogfmtParser():
            flags = (" --strict" if stage.strict else "") + (" --keep-empty" if stage.keep_empty else "")
            return f"| logfmt{flags}{_print_extractions(stage.extractions)}"
        case RegexpParser():
            return f"| regexp {quote(stage.pattern)}"
        case PatternParser():
            return f"| pattern {quote(stage.pattern)}"
        case _:
            assert_never(stage)


def _print_extractions(extractions: tuple[Extraction, ...]) -> str:
    text = ", ".join(f"{extraction.label}={quote(extraction.expression)}" for extraction in extractions)
    return f" {text}" if text else ""


def _print_label_list(labels: tuple[str | Matcher, ...]) -> str:
    return ", ".join(label if isinstance(label, str) else _print_matcher(label) for label in labels)


def _print_condition(condition: LabelCondition) -> str:
    match condition:
        case Matcher():
            return _print_matcher(condition)
        case LabelComparison():
            return f"{condition.name} {condition.operator} {_print_comparison_value(condition)}"
        case AllOf():
            return f"({_print_condition(condition.left)} and {_print_condition(condition.right)})"
        case AnyOf():
            return f"({_print_condition(condition.left)} or {_print_condition(condition.right)})"
        case _:
            assert_never(condition)


def _print_comparison_value(comparison: LabelComparison) -> str:
    match comparison.unit:
        case "duration":
            return format_duration(int(comparison.value))
        case "size":
            return f"{int(comparison.value)}B"
        case _:
            return format_number(comparison.value)
