"""Line filters, label filters and stream selectors as predicates."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Final, assert_never

from fnkit.platform.logql.entries import LogEntry
from fnkit.platform.logql.patterns import search_predicate, full_match_predicate
from fnkit.platform.logql.syntax import AllOf, AnyOf, LabelComparison, LabelCondition, LineFilter, Matcher
from fnkit.platform.logql.units import parse_go_duration, parse_size

__all__ = ["label_filter_predicate", "label_list_predicate", "line_filter_predicate", "selector_predicate"]

_LABEL_FILTER_ERROR: Final = "LabelFilterErr"
_COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def selector_predicate(matchers: tuple[Matcher, ...]) -> Callable[[Mapping[str, str]], bool]:
    """Return a predicate for labels that a selector matches; a missing label counts as empty."""
    tests = [(matcher.name, _matcher_predicate(matcher)) for matcher in matchers]
    return lambda labels: all(test(labels.get(name, "")) for name, test in tests)


def line_filter_predicate(stage: LineFilter) -> Callable[[LogEntry], bool]:
    """Return a predicate for entries that a line filter keeps."""
    is_pattern = stage.operator in ("|~", "!~")
    tests = [search_predicate(text) if is_pattern else _contains_predicate(text) for text in stage.texts]
    if stage.operator in ("|=", "|~"):
        if len(tests) == 1:
            only = tests[0]
            return lambda entry: only(entry.line)
        return lambda entry: any(test(entry.line) for test in tests)
    return lambda entry: not any(test(entry.line) for test in tests)


def _contains_predicate(text: str) -> Callable[[str], bool]:
    return lambda line: text in line


def _matcher_predicate(matcher: Matcher) -> Callable[[str], bool]:
    value = matcher.value
    match matcher.operator:
        case "=":
            return lambda text: text == value
        case "!=":
            return lambda text: text != value
        case "=~":
            return full_match_predicate(value)
        case "!~":
            test = full_match_predicate(value)
            return lambda text: not test(text)
        case _:
            assert_never(matcher.operator)


def label_filter_predicate(label_condition: LabelCondition) -> Callable[[LogEntry], bool]:
    """Return a predicate for entries that a label filter keeps."""
    match label_condition:
        case Matcher():
            name, test = label_condition.name, _matcher_predicate(label_condition)
            return lambda entry: test(entry.get_or_empty(name))
        case LabelComparison():
            return _comparison_predicate(label_condition)
        case AllOf():
            left, right = (
                label_filter_predicate(label_condition.left),
                label_filter_predicate(label_condition.right),
            )
            return lambda entry: left(entry) and right(entry)
        case AnyOf():
            one, other = label_filter_predicate(label_condition.left), label_filter_predicate(label_condition.right)
            return lambda entry: one(entry) or other(entry)
        case _:
            assert_never(label_condition)


def _comparison_predicate(comparison: LabelComparison) -> Callable[[LogEntry], bool]:
    """Return a predicate that compares a label with a number, duration or size.

    As in Loki, it drops a line without the label, and keeps a line with an unreadable value but sets ``__error__``.
    """
    compare, bound, name = _COMPARISONS[comparison.operator], comparison.value, comparison.name
    read = {"number": _parse_go_number, "duration": parse_go_duration, "size": parse_size}[comparison.unit]

    def test(entry: LogEntry) -> bool:
        text = entry.get(name)
        if text is None:
            return False
        value = read(text)
        if value is None:
            if not entry.error:
                entry.set_error(_LABEL_FILTER_ERROR, f"{name} does not read as a {comparison.unit}: {text[:64]!r}")
            return True
        return compare(value, bound)

    return test


def _parse_go_number(text: str) -> float | None:
    """Parse a number as Go does: without surrounding spaces or underscores, which Python accepts."""
    if text != text.strip() or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    # Go reports an error for a number out of range, where Python returns infinity; "inf" itself is valid in both.
    return None if math.isinf(value) and any(c.isdigit() for c in text) else value


def label_list_predicate(labels: tuple[str | Matcher, ...]) -> Callable[[str, str], bool]:
    """Return a predicate for names and values of labels that the list of ``drop`` or ``keep`` matches."""
    names = frozenset(label for label in labels if isinstance(label, str))
    tests = [(label.name, _matcher_predicate(label)) for label in labels if isinstance(label, Matcher)]
    return lambda name, value: name in names or any(n == name and test(value) for n, test in tests)
