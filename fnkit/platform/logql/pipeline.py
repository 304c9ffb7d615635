"""The stages of a query as functions over entries: filters, parsers, formats and templates.

A stage modifies an entry in place and returns whether it stays in the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias, assert_never

from fnkit.platform.logql.entries import ERROR, ERROR_DETAILS, Entry
from fnkit.platform.logql.filters import condition, label_conditions, line_filter
from fnkit.platform.logql.json_fields import json_parser
from fnkit.platform.logql.syntax import (
    Decolorize,
    Drop,
    JsonParser,
    Keep,
    LabelFilter,
    LabelFormat,
    LineFilter,
    LineFormat,
    LogfmtParser,
    PatternParser,
    RegexpParser,
    Stage,
)
from fnkit.platform.logql.templates import template_text
from fnkit.platform.logql.text_fields import logfmt_parser, pattern_parser, regexp_parser

__all__ = ["Step", "pipeline", "required_texts"]

Step: TypeAlias = Callable[[Entry], bool]
"""Modifies an entry and returns whether it stays in the result."""

_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def pipeline(stages: tuple[Stage, ...]) -> Step:
    """Return a single step that applies all stages."""
    steps = [_step(stage) for stage in stages]
    if not steps:
        return lambda _entry: True
    if len(steps) == 1:
        return steps[0]

    def step(entry: Entry) -> bool:
        for one in steps:  # noqa: SIM110  creating a generator for each line costs as much as a filter
            if not one(entry):
                return False
        return True

    return step


def _step(stage: Stage) -> Step:
    match stage:
        case LineFilter():
            return line_filter(stage)
        case LabelFilter():
            return condition(stage.condition)
        case JsonParser() | LogfmtParser() | RegexpParser() | PatternParser():
            return _parser(stage)
        case LineFormat() | LabelFormat() | Decolorize():
            return _format(stage)
        case Drop() | Keep():
            return _choice(stage)
        case _:
            assert_never(stage)


def _parser(stage: JsonParser | LogfmtParser | RegexpParser | PatternParser) -> Step:
    match stage:
        case JsonParser():
            return json_parser(stage)
        case LogfmtParser():
            return logfmt_parser(stage)
        case RegexpParser():
            return regexp_parser(stage)
        case PatternParser():
            return pattern_parser(stage)
        case _:
            assert_never(stage)


def _format(stage: LineFormat | LabelFormat | Decolorize) -> Step:
    match stage:
        case LineFormat():
            render = template_text(stage.template)

            def format_line(entry: Entry) -> bool:
                entry.line = render(entry.text, entry.line)
                return True

            return format_line
        case LabelFormat():
            return _label_format(stage)
        case Decolorize():

            def decolorize(entry: Entry) -> bool:
                entry.line = _COLOUR.sub("", entry.line)
                return True

            return decolorize
        case _:
            assert_never(stage)


def _label_format(stage: LabelFormat) -> Step:
    assignments = [
        (assignment.label, assignment.value, template_text(assignment.value) if assignment.is_template else None)
        for assignment in stage.assignments
    ]

    def step(entry: Entry) -> bool:
        for label, source, template in assignments:
            if template is not None:
                entry.set(label, template(entry.text, entry.line))
            elif (value := entry.get(source)) is not None:
                entry.remove(source)
                entry.set(label, value)
        return True

    return step


def _choice(stage: Drop | Keep) -> Step:
    is_listed = label_conditions(stage.labels)
    keeps = isinstance(stage, Keep)

    def step(entry: Entry) -> bool:
        for name, value in entry.labels().items():
            is_error = name in (ERROR, ERROR_DETAILS)
            # As in Loki, "keep" never removes the error labels.
            if is_listed(name, value) != keeps and not (keeps and is_error):
                entry.remove(name)
        return True

    return step


def required_texts(stages: tuple[Stage, ...]) -> tuple[str, ...]:
    """Return texts that every line in the result must contain, so that other lines need not be decoded.

    Only filters before the first stage that changes the text count.


    >>> required_texts((LineFilter("|=", ("a",)), LineFilter("!=", ("b",)), LineFilter("|=", ("c", "d"))))
    ('a',)
    """
    texts = []
    for stage in stages:
        if isinstance(stage, LineFormat | Decolorize):
            break
        if isinstance(stage, LineFilter) and stage.operator == "|=" and len(stage.texts) == 1:
            texts.append(stage.texts[0])
    return tuple(text for text in texts if text)
