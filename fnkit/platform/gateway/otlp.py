"""Export of spans to an OpenTelemetry collector, over OTLP/HTTP with JSON, from a thread.

Spans are encoded as ``ExportTraceServiceRequest`` with the names of the semantic conventions; each function is a
resource. In OTLP's JSON mapping, ids are hexadecimal, 64-bit integers are strings and enums are numbers.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Final, TypeAlias

import msgspec

from fnkit.platform.gateway.tracing import Interval, RequestSpan
from fnkit.platform.routing import Route

__all__ = ["encode_spans"]

_INTERNAL: Final = 1
_SERVER: Final = 2
_ERROR: Final = 2
# SpanFlags of opentelemetry-proto: the W3C flags (sampled), HAS_IS_REMOTE (0x100) and IS_REMOTE (0x200).
_FLAGS: Final = 0x101
_REMOTE: Final = 0x200
_GONE: Final = 499
_FAULTS: Final = 500
_MIB: Final = 1024 * 1024
_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)

Value: TypeAlias = str | int | bool
Json: TypeAlias = dict[str, object]


def encode_spans(spans: Iterable[RequestSpan], *, service: str, version: str) -> bytes:
    """Encode the body of one export.

    Args:
        spans: Finished requests.
        service: ``service.name`` of every resource; empty to use the name of each function.
        version: The version of fnkit.
    """
    by_function: dict[tuple[str, int], list[RequestSpan]] = defaultdict(list)
    for span in spans:
        by_function[span.route.function_id, span.route.generation].append(span)
    return msgspec.json.encode(
        {
            "resourceSpans": [
                {
                    "resource": {"attributes": _attributes(_resource(together[0].route, service, version))},
                    "scopeSpans": [
                        {
                            "scope": {"name": "fnkit.gateway", "version": version},
                            "spans": [made for span in together for made in _spans(span)],
                        }
                    ],
                }
                for together in by_function.values()
            ]
        }
    )


def _resource(route: Route, service: str, version: str) -> dict[str, Value]:
    return {
        "service.name": service or route.name,
        "service.namespace": route.namespace,
        "cloud.region": route.region,
        "cloud.account.id": route.project_id,
        "cloud.resource_id": route.function_id,
        "faas.name": route.name,
        "faas.version": str(route.generation),
        "faas.max_memory": route.memory * _MIB,
        "telemetry.sdk.name": "fnkit",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": version,
    }


def _spans(span: RequestSpan) -> list[Json]:
    whole = _span(span, span.route.name, _SERVER, span.whole)
    whole["spanId"] = span.span_id
    whole["flags"] = _FLAGS | (_REMOTE if span.remote_parent else 0)
    whole["attributes"] = _attributes(_request_attributes(span))
    if span.remote_parent:
        whole["parentSpanId"] = span.remote_parent
    if span.status >= _FAULTS:
        whole["status"] = {"code": _ERROR}
    children = [("queue", span.waited), ("cold start", span.cold_start)]
    return [whole, *(_child(span, name, interval) for name, interval in children if interval is not None)]


def _child(span: RequestSpan, name: str, interval: Interval) -> Json:
    child = _span(span, name, _INTERNAL, interval)
    child["spanId"] = f"{random.getrandbits(64) or 1:016x}"
    child["parentSpanId"] = span.span_id
    child["flags"] = _FLAGS
    return child


def _span(span: RequestSpan, name: str, kind: int, interval: Interval) -> Json:
    made: Json = {
        "traceId": span.trace_id,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(interval.began),
        "endTimeUnixNano": str(interval.ended),
    }
    if span.state:
        made["traceState"] = span.state
    return made


def _request_attributes(span: RequestSpan) -> dict[str, Value]:
    path = span.target.partition(b"?")[0].decode("latin-1")
    attributes: dict[str, Value] = {
        "http.request.method": span.method if span.method in _METHODS else "_OTHER",
        "url.path": path,
        "url.scheme": span.scheme,
        "server.address": span.host,
        "client.address": span.peer,
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "faas.trigger": "http",
        "faas.invocation_id": span.request_id,
        "faas.coldstart": span.cold_start is not None,
    }
    if span.method not in _METHODS:
        attributes["http.request.method_original"] = span.method
    if span.user_agent:
        attributes["user_agent.original"] = span.user_agent
    if span.instance:
        attributes["faas.instance"] = span.instance
    if span.status == _GONE:
        attributes["error.type"] = "client_disconnected"
    else:
        attributes["http.response.status_code"] = span.status
        if span.status >= _FAULTS:
            attributes["error.type"] = str(span.status)
    return attributes


def _attributes(values: dict[str, Value]) -> list[Json]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Value) -> Json:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
