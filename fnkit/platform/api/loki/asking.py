"""Handlers of Loki's API, one for each path: read the parameters, run one operation, return its result."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Event
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request

from fnkit.platform.api.loki.parameters import LokiParameters
from fnkit.platform.control.callers import Principal
from fnkit.platform.control.logs.answers import CATEGORIZE_LABELS, IndexStats, ListResult, QueryResponse
from fnkit.platform.control.logs.queries import RangeRequest
from fnkit.platform.control.platform import ControlPlane
from fnkit.platform.logql.parsing import parse_query
from fnkit.platform.logql.printing import print_query

__all__ = [
    "LokiRequest",
    "get_build_info",
    "format_query",
    "get_index_stats",
    "wants_categorized_labels",
    "list_label_values",
    "list_labels",
    "query_instant",
    "query_range",
    "list_series",
]

_ENCODING_FLAGS_HEADER: Final = "x-loki-response-encoding-flags"
_DEFAULT_LABELS_RANGE: Final = 6 * 3600 * 10**9  # nanoseconds; default time range of labels and series, as in Loki


@dataclass(frozen=True, slots=True)
class LokiRequest:
    """An authenticated request to Loki's API.

    Attributes:
        principal: The principal of the API key.
        parameters: The parameters of the query string and of a form.
        http_request: The HTTP request.
        cancelled: Set once the client has disconnected; the query thread then stops.
    """

    principal: Principal
    parameters: LokiParameters
    http_request: Request
    cancelled: Event


def wants_categorized_labels(headers: Headers) -> bool:
    """Return whether a client, such as Grafana, wants the labels of each line separate from those of its stream."""
    return CATEGORIZE_LABELS in (flag.strip() for flag in headers.get(_ENCODING_FLAGS_HEADER, "").split(","))


async def query_range(plane: ControlPlane, request: LokiRequest) -> QueryResponse:
    """Return the lines, or the series of numbers, of a time range."""
    parameters = request.parameters
    span = parameters.time_range()
    range_request = RangeRequest(
        query=parameters.get("query"),
        start=span.start,
        end=span.end,
        step=parameters.step(span),
        limit=parameters.limit(),
        direction=parameters.direction(),
        interval=parameters.interval(),
        categorized=wants_categorized_labels(request.http_request.headers),
    )
    return QueryResponse(
        data=await plane.logs.query_range(request.principal.project_id, range_request, request.cancelled)
    )


async def query_instant(plane: ControlPlane, request: LokiRequest) -> QueryResponse:
    """Return the numbers at a single time."""
    parameters = request.parameters
    parameters.limit()  # an invalid limit is an error, although numbers have none
    data = await plane.logs.query_instant(
        request.principal.project_id, parameters.get("query"), parameters.time(), request.cancelled
    )
    return QueryResponse(data=data)


async def list_labels(plane: ControlPlane, request: LokiRequest) -> ListResult:
    """Return the names of labels."""
    return ListResult(data=sorted({name for one in await _find_series(plane, request) for name in one}))


async def list_label_values(plane: ControlPlane, request: LokiRequest) -> ListResult:
    """Return the values of a label."""
    name = str(request.http_request.path_params["name"])
    return ListResult(data=sorted({one[name] for one in await _find_series(plane, request) if name in one}))


async def list_series(plane: ControlPlane, request: LokiRequest) -> ListResult:
    """Return the labels of streams."""
    return ListResult(data=await _find_series(plane, request))


async def _find_series(plane: ControlPlane, request: LokiRequest) -> list[dict[str, str]]:
    parameters = request.parameters
    # Clients send {} for all streams. The parser rejects it, as Loki does in a query, so it counts as no selector.
    selectors = [text for text in parameters.get_all("match", "match[]", "query") if text.strip() != "{}"]
    span = parameters.time_range(_DEFAULT_LABELS_RANGE)
    return await plane.logs.list_series(request.principal.project_id, selectors, span, request.cancelled)


async def get_index_stats(plane: ControlPlane, request: LokiRequest) -> IndexStats:
    """Return the number of streams, lines and bytes that a selector matches."""
    parameters = request.parameters
    return await plane.logs.index_stats(
        request.principal.project_id, parameters.get("query"), parameters.time_range(), request.cancelled
    )


async def format_query(_plane: ControlPlane, request: LokiRequest) -> ListResult:
    """Return a query in its canonical form."""
    return ListResult(data=print_query(parse_query(request.parameters.get("query"))))


async def get_build_info(plane: ControlPlane, _request: LokiRequest) -> dict[str, str]:
    """Return the version of fnkit in the fields of Loki's response."""
    return {
        "version": plane.version,
        "revision": "",
        "branch": "fnkit",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    }
