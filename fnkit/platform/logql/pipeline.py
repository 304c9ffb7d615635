"""The stages of a query as functions over entries: filters, parsers, formats and templates.

A stage modifies an entry in place and returns whether it stays in the result.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, assert_never

from fnkit.platform.logql import syntax
from fnkit.platform.logql.entry import ERROR_DETAILS_LABEL, ERROR_LABEL, LogEntry
from fnkit.platform.logql.extractors import captures_step, json_step, logfmt_step
from fnkit.platform.logql.regex import full_match_predicate, search_predicate
from fnkit.platform.logql.units import parse_go_duration, parse_size

_LABEL_FILTER_ERROR: Final = "LabelFilterErr"
COMPARISONS: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}

_ACTION: Final = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_SUPPORTED_ACTION: Final = re.compile(r"\.[A-Za-z_][A-Za-z0-9_]*|__line__|__timestamp__")

Step: TypeAlias = Callable[[LogEntry], bool]
"""Modifies an entry and returns whether it stays in the result."""
_ANSI_ESCAPE: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def selector_predicate(matchers: tuple[syntax.Matcher, ...]) -> Callable[[Mapping[str, str]], bool]:
    """Return a predicate for labels that a selector matches; a missing label counts as empty."""
    tests = [(matcher.name, _matcher_predicate(matcher)) for matcher in matchers]
    return lambda labels: all(test(labels.get(name, "")) for name, test in tests)


def _line_filter_predicate(stage: syntax.LineFilter) -> Callable[[LogEntry], bool]:
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


def _matcher_predicate(matcher: syntax.Matcher) -> Callable[[str], bool]:
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


def label_filter_predicate(label_condition: syntax.LabelCondition) -> Callable[[LogEntry], bool]:
    """Return a predicate for entries that a label filter keeps."""
    match label_condition:
        case syntax.Matcher():
            name, test = label_condition.name, _matcher_predicate(label_condition)
            return lambda entry: test(entry.get_or_empty(name))
        case syntax.LabelComparison():
            return _comparison_predicate(label_condition)
        case syntax.LabelOperation():
            left, right = map(label_filter_predicate, (label_condition.left, label_condition.right))
            if label_condition.operator == "and":
                return lambda entry: left(entry) and right(entry)
            return lambda entry: left(entry) or right(entry)
        case _:
            assert_never(label_condition)


def _comparison_predicate(comparison: syntax.LabelComparison) -> Callable[[LogEntry], bool]:
    """Return a predicate that compares a label with a number, duration or size.

    As in Loki, it drops a line without the label, and keeps a line with an unreadable value but sets ``__error__``.
    """
    compare, bound, name = COMPARISONS[comparison.operator], comparison.value, comparison.name
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


def _label_list_predicate(labels: tuple[str | syntax.Matcher, ...]) -> Callable[[str, str], bool]:
    """Return a predicate for names and values of labels that the list of ``drop`` or ``keep`` matches."""
    names = frozenset(label for label in labels if isinstance(label, str))
    tests = [(label.name, _matcher_predicate(label)) for label in labels if isinstance(label, syntax.Matcher)]
    return lambda name, value: name in names or any(n == name and test(value) for n, test in tests)


def check_template(template: str) -> str:
    """Return the error of a template, or an empty string if it is valid."""
    for action in _ACTION.findall(template):
        if action == "__timestamp__" or not _SUPPORTED_ACTION.fullmatch(action):
            return f"the template action {{{{ {action[:64]} }}}} is not supported here, only {{{{.label}}}} is"
    if "{{" in _ACTION.sub("", template):
        return "unclosed action in a template"
    return ""


def _compile_template(template: str) -> Callable[[Callable[[str], str], str], str]:
    """Return a function that renders a template, given a lookup of labels and the line.

    >>> _compile_template("{{.a}}-{{ .b }}")({"a": "1", "b": "2"}.__getitem__, "")
    '1-2'
    """
    # "{{-" and "-}}" remove the white space beside them.
    trimmed = re.sub(r"\s*\{\{-", "{{", re.sub(r"-\}\}\s*", "}}", template))
    parts = _ACTION.split(trimmed)  # literals at even indexes, actions at odd ones

    def render(label: Callable[[str], str], line: str) -> str:
        rendered = list(parts)
        for index in range(1, len(rendered), 2):
            rendered[index] = line if rendered[index] == "__line__" else label(rendered[index][1:])
        return "".join(rendered)

    return render


def compile_pipeline(stages: tuple[syntax.Stage, ...]) -> Step:
    """Return a single step that applies all stages."""
    steps = [_stage_step(stage) for stage in stages]
    if not steps:
        return lambda _entry: True
    if len(steps) == 1:
        return steps[0]

    def step(entry: LogEntry) -> bool:
        for one in steps:  # noqa: SIM110  creating a generator for each line costs as much as a filter
            if not one(entry):
                return False
        return True

    return step


def _stage_step(stage: syntax.Stage) -> Step:
    match stage:
        case syntax.LineFilter():
            step = _line_filter_predicate(stage)
        case syntax.LabelFilter():
            step = label_filter_predicate(stage.condition)
        case syntax.JsonParser():
            step = json_step(stage)
        case syntax.LogfmtParser():
            step = logfmt_step(stage)
        case syntax.RegexpParser() | syntax.PatternParser():
            step = captures_step(stage)
        case syntax.LineFormat() | syntax.Decolorize():
            step = _line_step(stage)
        case syntax.LabelFormat():
            step = _label_format_step(stage)
        case syntax.LabelSelection():
            step = _label_selection_step(stage)
        case _:
            assert_never(stage)
    return step


def _line_step(stage: syntax.LineFormat | syntax.Decolorize) -> Step:
    render = _compile_template(stage.template) if isinstance(stage, syntax.LineFormat) else _without_colours

    def step(entry: LogEntry) -> bool:
        entry.line = render(entry.get_or_empty, entry.line)
        return True

    return step


def _without_colours(_label: Callable[[str], str], line: str) -> str:
    return _ANSI_ESCAPE.sub("", line)


def _label_format_step(stage: syntax.LabelFormat) -> Step:
    assignments = [
        (one.label, one.value, _compile_template(one.value) if one.is_template else None)
        for one in stage.assignments
    ]

    def step(entry: LogEntry) -> bool:
        for label, source, template in assignments:
            if template is not None:
                entry.set_label(label, template(entry.get_or_empty, entry.line))
            elif (value := entry.get(source)) is not None:
                entry.remove_label(source)
                entry.set_label(label, value)
        return True

    return step


def _label_selection_step(stage: syntax.LabelSelection) -> Step:
    is_listed = _label_list_predicate(stage.labels)
    keeps = stage.keeps

    def step(entry: LogEntry) -> bool:
        for name, value in entry.labels().items():
            is_error = name in (ERROR_LABEL, ERROR_DETAILS_LABEL)
            # As in Loki, "keep" never removes the error labels.
            if is_listed(name, value) != keeps and not (keeps and is_error):
                entry.remove_label(name)
        return True

    return step


def required_texts(stages: tuple[syntax.Stage, ...]) -> tuple[str, ...]:
    """Return texts that every line in the result must contain, so that other lines need not be decoded.

    Only filters before the first stage that changes the text count.

    >>> contains = [syntax.LineFilter("|=", texts) for texts in (("a",), ("b", "c"))]
    >>> required_texts((contains[0], syntax.LineFilter("!=", ("d",)), contains[1]))
    ('a',)
    """
    texts = []
    for stage in stages:
        if isinstance(stage, syntax.LineFormat | syntax.Decolorize):
            break
        if isinstance(stage, syntax.LineFilter) and stage.operator == "|=" and len(stage.texts) == 1:
            texts.append(stage.texts[0])
    return tuple(text for text in texts if text)
