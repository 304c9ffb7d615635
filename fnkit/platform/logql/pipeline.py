"""The stages of a query as functions over entries: filters, parsers, formats and templates.

A stage modifies an entry in place and returns whether it stays in the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias, assert_never

from fnkit.platform.logql.entries import ERROR_LABEL, ERROR_DETAILS_LABEL, LogEntry
from fnkit.platform.logql.filters import label_filter_predicate, label_list_predicate, line_filter_predicate
from fnkit.platform.logql.json_fields import json_step
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
from fnkit.platform.logql.templates import compile_template
from fnkit.platform.logql.text_fields import logfmt_step, pattern_step, regexp_step

__all__ = ["Step", "compile_pipeline", "required_texts"]

Step: TypeAlias = Callable[[LogEntry], bool]
"""Modifies an entry and returns whether it stays in the result."""

_ANSI_ESCAPE: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def compile_pipeline(stages: tuple[Stage, ...]) -> Step:
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


def _stage_step(stage: Stage) -> Step:
    match stage:
        case LineFilter():
            return line_filter_predicate(stage)
        case LabelFilter():
            return label_filter_predicate(stage.condition)
        case JsonParser() | LogfmtParser() | RegexpParser() | PatternParser():
            return _parser_step(stage)
        case LineFormat() | LabelFormat() | Decolorize():
            return _format_step(stage)
        case Drop() | Keep():
            return _drop_or_keep_step(stage)
        case _:
            assert_never(stage)


def _parser_step(stage: JsonParser | LogfmtParser | RegexpParser | PatternParser) -> Step:
    match stage:
        case JsonParser():
            return json_step(stage)
        case LogfmtParser():
            return logfmt_step(stage)
        case RegexpParser():
            return regexp_step(stage)
        case PatternParser():
            return pattern_step(stage)
        case _:
            assert_never(stage)


def _format_step(stage: LineFormat | LabelFormat | Decolorize) -> Step:
    match stage:
        case LineFormat():
            render = compile_template(stage.template)

            def format_line(entry: LogEntry) -> bool:
                entry.line = render(entry.get_or_empty, entry.line)
                return True

            return format_line
        case LabelFormat():
            return _label_format_step(stage)
        case Decolorize():

            def decolorize(entry: LogEntry) -> bool:
                entry.line = _ANSI_ESCAPE.sub("", entry.line)
                return True

            return decolorize
        case _:
            assert_never(stage)


def _label_format_step(stage: LabelFormat) -> Step:
    assignments = [
        (assignment.label, assignment.value, compile_template(assignment.value) if assignment.is_template else None)
        for assignment in stage.assignments
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


def _drop_or_keep_step(stage: Drop | Keep) -> Step:
    is_listed = label_list_predicate(stage.labels)
    keeps = isinstance(stage, Keep)

    def step(entry: LogEntry) -> bool:
        for name, value in entry.labels().items():
            is_error = name in (ERROR_LABEL, ERROR_DETAILS_LABEL)
            # As in Loki, "keep" never removes the error labels.
            if is_listed(name, value) != keeps and not (keeps and is_error):
                entry.remove_label(name)
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
