"""Line filters, label filters and stream selectors as predicates."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Final, assert_never

from fnkit.platform.logql.entries import Entry
from fnkit.platform.logql.patterns import search, whole
from fnkit.platform.logql.syntax import AllOf, AnyOf, Comparison, Condition, LineFilter, Matcher
from fnkit.platform.logql.units import parse_go_duration, parse_size

__all__ = ["condition", "label_conditions", "line_filter", "selects"]

_ERROR: Final = "LabelFilterErr"
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def selects(matchers: tuple[Matcher, ...]) -> Callable[[Mapping[str, str]], bool]:
    """Return a predicate for labels that a selector matches; a missing label counts as empty."""
    tests = [(matcher.name, _matches(matcher)) for matcher in matchers]
    return lambda labels: all(test(labels.get(name, "")) for name, test in tests)


def line_filter(stage: LineFilter) -> Callable[[Entry], bool]:
    """Return a predicate for entries that a line filter keeps."""
    is_pattern = stage.operator in ("|~", "!~")
    tests = [search(text) if is_pattern else _holds(text) for text in stage.texts]
    if stage.operator in ("|=", "|~"):
        if len(tests) == 1:
            only = tests[0]
            return lambda entry: only(entry.line)
        return lambda entry: any(test(entry.line) for test in tests)
    return lambda entry: not any(test(entry.line) for test in tests)


def _holds(text: str) -> Callable[[str], bool]:
    return lambda line: text in line


def _matches(matcher: Matcher) -> Callable[[str], bool]:
    value = matcher.value
    match matcher.operator:
        case "=":
            return lambda text: text == value
        case "!=":
            return lambda text: text != value
        case "=~":
            return whole(value)
        case "!~":
            test = whole(value)
            return lambda text: not test(text)
        case _:
            assert_never(matcher.operator)


def condition(label_condition: Condition) -> Callable[[Entry], bool]:
    """Return a predicate for entries that a label filter keeps."""
    match label_condition:
        case Matcher():
            name, test = label_condition.name, _matches(label_condition)
            return lambda entry: test(entry.text(name))
        case Comparison():
            return _comparison(label_condition)
        case AllOf():
            left, right = condition(label_condition.left), condition(label_condition.right)
            return lambda entry: left(entry) and right(entry)
        case AnyOf():
            one, other = condition(label_condition.left), condition(label_condition.right)
            return lambda entry: one(entry) or other(entry)
        case _:
            assert_never(label_condition)


def _comparison(comparison: Comparison) -> Callable[[Entry], bool]:
    """Return a predicate that compares a label with a number, duration or size.

    As in Loki, it drops a line without the label, and keeps a line with an unreadable value but sets ``__error__``.
    """
    compare, bound, name = _COMPARE[comparison.operator], comparison.value, comparison.name
    read = {"number": _number, "duration": parse_go_duration, "size": parse_size}[comparison.unit]

    def test(entry: Entry) -> bool:
        text = entry.get(name)
        if text is None:
            return False
        value = read(text)
        if value is None:
            if not entry.error:
                entry.fail(_ERROR, f"{name} does not read as a {comparison.unit}: {text[:64]!r}")
            return True
        return compare(value, bound)

    return test


def _number(text: str) -> float | None:
    """Parse a number as Go does: without surrounding spaces or underscores, which Python accepts."""
    if text != text.strip() or "_" in text:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    # Go reports an error for a number out of range, where Python returns infinity; "inf" itself is valid in both.
    return None if math.isinf(value) and any(c.isdigit() for c in text) else value


def label_conditions(labels: tuple[str | Matcher, ...]) -> Callable[[str, str], bool]:
    """Return a predicate for names and values of labels that the list of ``drop`` or ``keep`` matches."""
    names = frozenset(label for label in labels if isinstance(label, str))
    tests = [(label.name, _matches(label)) for label in labels if isinstance(label, Matcher)]
    return lambda name, value: name in names or any(n == name and test(value) for n, test in tests)
