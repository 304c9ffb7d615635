"""Whose logs there are, and the labels they have in Loki's terms.

A stream is one function's standard output, its standard error, what the platform says of it, or its builds. The
labels are those of Scaleway's Cockpit, where the stream's name is known of each line alone; here it is a label too,
so that it works in both places. What differs from line to line (instance, request) is metadata: a label a request
would be a stream a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.logql.filters import selects
from fnkit.platform.logql.syntax import Matcher
from fnkit.platform.records.function import FunctionRecord

__all__ = ["LABELS", "STREAMS", "LogSource", "Selection", "exact_function", "log_sources", "select"]

STREAMS: Final = ("stdout", "stderr", "system", "build")
RESOURCE_TYPE: Final = "serverless_function"
LABELS: Final = ("project_id", "region", "resource_id", "resource_name", "resource_type", "stream")


@dataclass(frozen=True, slots=True)
class LogSource:
    """One function's logs. ``labels``: by stream."""

    function_id: str
    folder: Path
    labels: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Selection:
    """A source, and which of its streams are asked for."""

    source: LogSource
    streams: frozenset[str]


def log_sources(context: ControlContext, project_id: str | None, function_id: str | None = None) -> list[LogSource]:
    """Return the functions whose logs a key may read: those of its project, or all where it has none."""
    return [_source(context.layout.logs, record) for record in _records(context, project_id, function_id)]


def _records(context: ControlContext, project_id: str | None, function_id: str | None) -> Iterator[FunctionRecord]:
    functions = context.store.functions
    if function_id is not None:
        record = functions.get(function_id)
        if record is not None and project_id in (None, record.project_id):
            yield record
    elif project_id is not None:
        yield from functions.every(project_id=project_id)
    else:
        yield from functions.every()


def _source(logs: Path, record: FunctionRecord) -> LogSource:
    labels = {
        "project_id": record.project_id,
        "region": record.region,
        "resource_id": record.id,
        "resource_name": record.name,
        "resource_type": RESOURCE_TYPE,
    }
    return LogSource(record.id, logs / record.id, {stream: {**labels, "stream": stream} for stream in STREAMS})


def exact_function(matchers: tuple[Matcher, ...]) -> str | None:
    """Return the one function that a selector can mean, where it names one."""
    return next((m.value for m in matchers if m.name == "resource_id" and m.operator == "=" and m.value), None)


def select(sources: list[LogSource], matchers: tuple[Matcher, ...]) -> list[Selection]:
    """Return what a selector asks for."""
    chosen = selects(matchers)
    made = [Selection(source, _streams(source, chosen)) for source in sources]
    return [selection for selection in made if selection.streams]


def _streams(source: LogSource, chosen: Callable[[Mapping[str, str]], bool]) -> frozenset[str]:
    return frozenset(stream for stream, labels in source.labels.items() if chosen(labels))
