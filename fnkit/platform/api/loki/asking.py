"""One function a path of Loki's API: parameters in, one operation, its answer out."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import Final

from starlette.requests import Request

from fnkit.platform.api.loki.parameters import Parameters
from fnkit.platform.control.callers import Caller
from fnkit.platform.control.logs.answers import CATEGORIZED, IndexStats, Listed, QueryAnswer
from fnkit.platform.control.logs.queries import RangeRequest
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.logql.parsing import parse_query
from fnkit.platform.logql.printing import print_query

__all__ = [
    "Question",
    "build_info",
    "format_query",
    "index_stats",
    "is_categorized",
    "label_values",
    "labels",
    "query",
    "query_range",
    "series",
]

_FLAGS: Final = "x-loki-response-encoding-flags"
_SINCE: Final = 6 * 3600 * 10**9  # of labels and series, where no start is given


@dataclass(frozen=True, slots=True)
class Question:
    """A request, whose it is, and what is set when nobody waits for its answer any more."""

    caller: Caller
    parameters: Parameters
    request: Request
    cancelled: Event


def is_categorized(headers: str) -> bool:
    """Whether a client wants each line's own labels apart, as Grafana does."""
    return CATEGORIZED in (flag.strip() for flag in headers.split(","))


async def query_range(plane: ControlPlane, question: Question) -> QueryAnswer:
    """Lines of a span of time, or numbers over it."""
    parameters = question.parameters
    span = parameters.span()
    request = RangeRequest(
        query=parameters.text("query"),
        start=span.start,
        end=span.end,
        step=parameters.step(span),
        limit=parameters.limit(),
        direction=parameters.direction(),
        interval=parameters.interval(),
        categorized=is_categorized(question.request.headers.get(_FLAGS, "")),
    )
    return QueryAnswer(data=await plane.logs.range(question.caller.project_id, request, question.cancelled))


async def query(plane: ControlPlane, question: Question) -> QueryAnswer:
    """Numbers at one moment."""
    parameters = question.parameters
    parameters.limit()
    data = await plane.logs.instant(
        question.caller.project_id, parameters.text("query"), parameters.moment(), question.cancelled
    )
    return QueryAnswer(data=data)


async def labels(plane: ControlPlane, question: Question) -> Listed:
    """Names of labels."""
    return Listed(data=sorted({name for one in await _series(plane, question) for name in one}))


async def label_values(plane: ControlPlane, question: Question) -> Listed:
    """Values of one label."""
    name = str(question.request.path_params["name"])
    return Listed(data=sorted({one[name] for one in await _series(plane, question) if name in one}))


async def series(plane: ControlPlane, question: Question) -> Listed:
    """Labels of streams."""
    return Listed(data=await _series(plane, question))


async def _series(plane: ControlPlane, question: Question) -> list[dict[str, str]]:
    parameters = question.parameters
    selectors = [text for text in parameters.every("match", "match[]", "query") if text.strip() != "{}"]
    span = parameters.span(_SINCE)
    return await plane.logs.series(question.caller.project_id, selectors, span, question.cancelled)


async def index_stats(plane: ControlPlane, question: Question) -> IndexStats:
    """Return how much a selector has."""
    parameters = question.parameters
    return await plane.logs.stats(
        question.caller.project_id, parameters.text("query"), parameters.span(), question.cancelled
    )


async def format_query(_plane: ControlPlane, question: Question) -> Listed:
    """Return a query in its standard form."""
    return Listed(data=print_query(parse_query(question.parameters.text("query"))))


async def build_info(plane: ControlPlane, _question: Question) -> dict[str, str]:
    """Return what serves here."""
    return {
        "version": plane.version,
        "revision": "",
        "branch": "fnkit",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }
