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

_SPAN_KIND_INTERNAL: Final = 1
_SPAN_KIND_SERVER: Final = 2
_STATUS_CODE_ERROR: Final = 2
# SpanFlags of opentelemetry-proto: the W3C flags (sampled), HAS_IS_REMOTE (0x100) and IS_REMOTE (0x200).
_SPAN_FLAGS: Final = 0x101
_PARENT_IS_REMOTE: Final = 0x200
_CLIENT_CLOSED_REQUEST: Final = 499
_FIRST_SERVER_ERROR: Final = 500
_BYTES_PER_MIB: Final = 1024 * 1024
_KNOWN_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)

AttributeValue: TypeAlias = str | int | bool
JsonObject: TypeAlias = dict[str, object]


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
                    "resource": {
                        "attributes": _encode_attributes(_resource_attributes(together[0].route, service, version))
                    },
                    "scopeSpans": [
                        {
                            "scope": {"name": "fnkit.gateway", "version": version},
                            "spans": [made for span in together for made in _encode_request(span)],
                        }
                    ],
                }
                for together in by_function.values()
            ]
        }
    )


def _resource_attributes(route: Route, service: str, version: str) -> dict[str, AttributeValue]:
    return {
        "service.name": service or route.name,
        "service.namespace": route.namespace,
        "cloud.region": route.region,
        "cloud.account.id": route.project_id,
        "cloud.resource_id": route.function_id,
        "faas.name": route.name,
        "faas.version": str(route.generation),
        "faas.max_memory": route.memory * _BYTES_PER_MIB,
        "telemetry.sdk.name": "fnkit",
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": version,
    }


def _encode_request(span: RequestSpan) -> list[JsonObject]:
    whole = _encode_span(span, span.route.name, _SPAN_KIND_SERVER, span.request)
    whole["spanId"] = span.span_id
    whole["flags"] = _SPAN_FLAGS | (_PARENT_IS_REMOTE if span.remote_parent_id else 0)
    whole["attributes"] = _encode_attributes(_request_attributes(span))
    if span.remote_parent_id:
        whole["parentSpanId"] = span.remote_parent_id
    if span.status >= _FIRST_SERVER_ERROR:
        whole["status"] = {"code": _STATUS_CODE_ERROR}
    children = [("queue", span.queue), ("cold start", span.cold_start)]
    return [whole, *(_encode_child(span, name, interval) for name, interval in children if interval is not None)]


def _encode_child(span: RequestSpan, name: str, interval: Interval) -> JsonObject:
    child = _encode_span(span, name, _SPAN_KIND_INTERNAL, interval)
    child["spanId"] = f"{random.getrandbits(64) or 1:016x}"
    child["parentSpanId"] = span.span_id
    child["flags"] = _SPAN_FLAGS
    return child


def _encode_span(span: RequestSpan, name: str, kind: int, interval: Interval) -> JsonObject:
    made: JsonObject = {
        "traceId": span.trace_id,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": str(interval.start),
        "endTimeUnixNano": str(interval.end),
    }
    if span.tracestate:
        made["traceState"] = span.tracestate
    return made


def _request_attributes(span: RequestSpan) -> dict[str, AttributeValue]:
    path = span.target.partition(b"?")[0].decode("latin-1")
    attributes: dict[str, AttributeValue] = {
        "http.request.method": span.method if span.method in _KNOWN_METHODS else "_OTHER",
        "url.path": path,
        "url.scheme": span.scheme,
        "server.address": span.host,
        "client.address": span.client_host,
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "faas.trigger": "http",
        "faas.invocation_id": span.request_id,
        "faas.coldstart": span.cold_start is not None,
    }
    if span.method not in _KNOWN_METHODS:
        attributes["http.request.method_original"] = span.method
    if span.user_agent:
        attributes["user_agent.original"] = span.user_agent
    if span.instance:
        attributes["faas.instance"] = span.instance
    if span.status == _CLIENT_CLOSED_REQUEST:
        attributes["error.type"] = "client_disconnected"
    else:
        attributes["http.response.status_code"] = span.status
        if span.status >= _FIRST_SERVER_ERROR:
            attributes["error.type"] = str(span.status)
    return attributes


def _encode_attributes(values: dict[str, AttributeValue]) -> list[JsonObject]:
    return [{"key": key, "value": _encode_value(value)} for key, value in values.items()]


def _encode_value(value: AttributeValue) -> JsonObject:
    if isinstance(value, bool):
        return {"boolValue": value}
    return {"intValue": str(value)} if isinstance(value, int) else {"stringValue": value}
