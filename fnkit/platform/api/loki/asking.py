"""Handlers of Loki's API, one for each path: read the parameters, run one operation, return its result."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import Final

from starlette.datastructures import Headers
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
_SINCE: Final = 6 * 3600 * 10**9  # nanoseconds; default time range of labels and series, as in Loki


@dataclass(frozen=True, slots=True)
class Question:
    """An authenticated request to Loki's API.

    Attributes:
        principal: The principal of the API key.
        parameters: The parameters of the query string and of a form.
        http_request: The HTTP request.
        cancelled: Set once the client has disconnected; the query thread then stops.
    """

    caller: Caller
    parameters: Parameters
    request: Request
    cancelled: Event


def is_categorized(headers: Headers) -> bool:
    """Return whether a client, such as Grafana, wants the labels of each line separate from those of its stream."""
    return CATEGORIZED in (flag.strip() for flag in headers.get(_FLAGS, "").split(","))


async def query_range(plane: ControlPlane, request: Question) -> QueryAnswer:
    """Return the lines, or the series of numbers, of a time range."""
    parameters = request.parameters
    span = parameters.span()
    range_request = RangeRequest(
        query=parameters.text("query"),
        start=span.start,
        end=span.end,
        step=parameters.step(span),
        limit=parameters.limit(),
        direction=parameters.direction(),
        interval=parameters.interval(),
        categorized=is_categorized(request.request.headers),
    )
    return QueryAnswer(data=await plane.logs.range(request.caller.project_id, range_request, request.cancelled))


async def query(plane: ControlPlane, request: Question) -> QueryAnswer:
    """Return the numbers at a single time."""
    parameters = request.parameters
    parameters.limit()  # an invalid limit is an error, although numbers have none
    data = await plane.logs.instant(
        request.caller.project_id, parameters.text("query"), parameters.moment(), request.cancelled
    )
    return QueryAnswer(data=data)


async def labels(plane: ControlPlane, request: Question) -> Listed:
    """Return the names of labels."""
    return Listed(data=sorted({name for one in await _series(plane, request) for name in one}))


async def label_values(plane: ControlPlane, request: Question) -> Listed:
    """Return the values of a label."""
    name = str(request.request.path_params["name"])
    return Listed(data=sorted({one[name] for one in await _series(plane, request) if name in one}))


async def series(plane: ControlPlane, request: Question) -> Listed:
    """Return the labels of streams."""
    return Listed(data=await _series(plane, request))


async def _series(plane: ControlPlane, request: Question) -> list[dict[str, str]]:
    parameters = request.parameters
    # Clients send {} for all streams. The parser rejects it, as Loki does in a query, so it counts as no selector.
    selectors = [text for text in parameters.every("match", "match[]", "query") if text.strip() != "{}"]
    span = parameters.span(_SINCE)
    return await plane.logs.series(request.caller.project_id, selectors, span, request.cancelled)


async def index_stats(plane: ControlPlane, request: Question) -> IndexStats:
    """Return the number of streams, lines and bytes that a selector matches."""
    parameters = request.parameters
    return await plane.logs.stats(
        request.caller.project_id, parameters.text("query"), parameters.span(), request.cancelled
    )


async def format_query(_plane: ControlPlane, request: Question) -> Listed:
    """Return a query in its canonical form."""
    return Listed(data=print_query(parse_query(request.parameters.text("query"))))


async def build_info(plane: ControlPlane, _request: Question) -> dict[str, str]:
    """Return the version of fnkit in the fields of Loki's response."""
    return {
        "version": plane.version,
        "revision": "",
        "branch": "fnkit",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }
