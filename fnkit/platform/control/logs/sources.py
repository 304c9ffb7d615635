"""The log streams of functions: their labels, their selection and their lines.

A function has four streams: its standard output, its standard error, messages of the platform about it, and its
builds. The labels are those of Scaleway's Cockpit. There ``stream`` is structured metadata; here it is a label too,
and a query such as ``| stream="stderr"`` works in both places. Values that differ from line to line (instance,
request) are metadata, since as labels they would create a stream for each request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.platform.control.context import ControlContext
from fnkit.platform.logql.filters import selector_predicate
from fnkit.platform.logql.syntax import Matcher
from fnkit.platform.records.function import FunctionRecord

__all__ = [
    "LABEL_NAMES",
    "STREAM_NAMES",
    "LogSource",
    "StreamSelection",
    "selected_function_id",
    "log_sources",
    "select_streams",
]

STREAM_NAMES: Final = ("stdout", "stderr", "system", "build")
RESOURCE_TYPE: Final = "serverless_function"
LABEL_NAMES: Final = ("project_id", "region", "resource_id", "resource_name", "resource_type", "stream")


@dataclass(frozen=True, slots=True)
class LogSource:
    """The logs of a function; ``labels`` maps each stream to its labels."""

    function_id: str
    folder: Path
    labels: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class StreamSelection:
    """A function and the streams of it that a selector matches."""

    source: LogSource
    streams: frozenset[str]


def log_sources(context: ControlContext, project_id: str | None, function_id: str | None = None) -> list[LogSource]:
    """Return the functions whose logs a caller may read.

    Args:
        context: The control plane's context.
        project_id: Limits the result to a project; ``None`` allows all projects.
        function_id: Limits the result to a function.
    """
    return [
        _log_source(context.layout.logs_dir, record)
        for record in _function_records(context, project_id, function_id)
    ]


def _function_records(
    context: ControlContext, project_id: str | None, function_id: str | None
) -> Iterator[FunctionRecord]:
    functions = context.store.functions
    if function_id is not None:
        record = functions.get(function_id)
        if record is not None and project_id in (None, record.project_id):
            yield record
    elif project_id is not None:
        yield from functions.all(project_id=project_id)
    else:
        yield from functions.all()


def _log_source(logs: Path, record: FunctionRecord) -> LogSource:
    labels = {
        "project_id": record.project_id,
        "region": record.region,
        "resource_id": record.id,
        "resource_name": record.name,
        "resource_type": RESOURCE_TYPE,
    }
    return LogSource(record.id, logs / record.id, {stream: {**labels, "stream": stream} for stream in STREAM_NAMES})


def selected_function_id(matchers: tuple[Matcher, ...]) -> str | None:
    """Return the function id that a selector requires with ``resource_id="…"``, or ``None``."""
    return next((m.value for m in matchers if m.name == "resource_id" and m.operator == "=" and m.value), None)


def select_streams(sources: list[LogSource], matchers: tuple[Matcher, ...]) -> list[StreamSelection]:
    """Return the functions and streams that a selector matches."""
    is_selected = selector_predicate(matchers)
    selections = [StreamSelection(source, _selected_streams(source, is_selected)) for source in sources]
    return [selection for selection in selections if selection.streams]


def _selected_streams(source: LogSource, is_selected: Callable[[Mapping[str, str]], bool]) -> frozenset[str]:
    return frozenset(stream for stream, labels in source.labels.items() if is_selected(labels))
