"""Export of spans to an OpenTelemetry collector, over OTLP/HTTP with JSON, from a thread.

Spans are encoded as ``ExportTraceServiceRequest`` with the names of the semantic conventions; each function is a
resource. In OTLP's JSON mapping, ids are hexadecimal, 64-bit integers are strings and enums are numbers.
"""

from __future__ import annotations

import logging
import random
import threading
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

import msgspec
import urllib3
from urllib3.util import Retry

from fnkit.platform.data_plane.gateway.tracing import Interval, RequestSpan
from fnkit.platform.model.metrics import SpanCounts
from fnkit.platform.model.routing import Route
from fnkit.platform.model.settings import OtlpSettings

__all__ = ["SpanExporter", "encode_spans"]

# The defaults of OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_EXPORT_BATCH_SIZE and OTEL_BSP_SCHEDULE_DELAY.
MAX_QUEUED_SPANS: Final = 2048
MAX_BATCH_SPANS: Final = 512
_EXPORT_INTERVAL: Final = 5.0
_MAX_RESPONSE_BYTES: Final = 64 * 1024
_SUCCESS_MIN: Final = 200
_SUCCESS_END: Final = 300
_MAX_RETRY_AFTER: Final = 30
_log = logging.getLogger(__name__)

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


class _PartialSuccess(msgspec.Struct, rename="camel"):
    rejected_spans: int | str = 0


class _ExportResponse(msgspec.Struct, rename="camel"):
    partial_success: _PartialSuccess = msgspec.field(default_factory=_PartialSuccess)


class _BoundedRetry(Retry):
    """Retries the statuses that OTLP defines as retryable, and limits the collector's ``Retry-After``."""

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, _MAX_RETRY_AFTER)


_RETRY_POLICY: Final = _BoundedRetry(
    total=3,
    redirect=False,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=None,
    backoff_factor=0.5,
    raise_on_status=False,
)


class SpanExporter:
    """Queues spans on the event loop and exports them in a daemon thread.

    The queue is a ``deque``, whose append and popleft are atomic, so no lock is needed.

    Args:
        settings: The collector.
        encode: Encodes the body of one export. Called in the thread.
    """

    def __init__(self, settings: OtlpSettings, encode: Callable[[Sequence[RequestSpan]], bytes]) -> None:
        self._settings = settings
        self._encode = encode
        self._queue: deque[RequestSpan] = deque()
        self._wake = threading.Event()
        self._is_stopping = False
        self._collector_down = False
        self._exported = 0
        self._rejected = 0
        self._overflowed_spans = 0
        self._http = urllib3.PoolManager(retries=_RETRY_POLICY, timeout=settings.timeout)
        self._thread = threading.Thread(target=self._run, name="span export", daemon=True)
        self._thread.start()

    @property
    def counts(self) -> SpanCounts:
        """The number of exported and of dropped spans."""
        return SpanCounts(exported=self._exported, dropped=self._rejected + self._overflowed_spans)

    def enqueue(self, span: RequestSpan) -> None:
        """Queue a span, or drop it if the queue is full. Never blocks."""
        queue = self._queue
        if len(queue) >= MAX_QUEUED_SPANS:
            self._overflowed_spans += 1
            return
        queue.append(span)
        if len(queue) >= MAX_BATCH_SPANS:
            self._wake.set()

    def close(self, timeout: float) -> None:
        """Export the queued spans and stop the thread, within the given seconds."""
        self._is_stopping = True
        self._wake.set()
        self._thread.join(timeout)
        remaining = len(self._queue)
        if remaining:
            _log.warning("stopped with %d spans that were not exported", remaining)

    def _run(self) -> None:
        while not self._is_stopping or self._queue:
            if not self._is_stopping and len(self._queue) < MAX_BATCH_SPANS:
                self._wake.wait(_EXPORT_INTERVAL)
            self._wake.clear()
            batch = [self._queue.popleft() for _ in range(min(MAX_BATCH_SPANS, len(self._queue)))]
            if batch:
                self._send(batch)

    def _send(self, batch: Sequence[RequestSpan]) -> None:
        headers = {"Content-Type": "application/json", "User-Agent": "fnkit", **dict(self._settings.headers)}
        try:
            answer = self._http.request(
                "POST",
                self._settings.traces_url,
                body=self._encode(batch),
                headers=headers,
                redirect=False,
                preload_content=False,
            )
            body = answer.read(_MAX_RESPONSE_BYTES)
            answer.close()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            self._drop(len(batch), type(error).__name__)
            return
        if not _SUCCESS_MIN <= answer.status < _SUCCESS_END:
            self._drop(len(batch), f"status {answer.status}")
            return
        rejected = min(len(batch), _rejected_count(body))
        self._rejected += rejected
        self._exported += len(batch) - rejected
        if self._collector_down:
            self._collector_down = False
            _log.info("the OTLP collector accepts spans again")

    def _drop(self, count: int, reason: str) -> None:
        """Count dropped spans and log the outage once. The message omits the URL, which may contain a key."""
        self._rejected += count
        if not self._collector_down:
            self._collector_down = True
            _log.warning("the OTLP collector does not accept spans (%s): dropping them until it does", reason)


def _rejected_count(body: bytes) -> int:
    try:
        return max(0, int(msgspec.json.decode(body, type=_ExportResponse).partial_success.rejected_spans))
    except (msgspec.MsgspecError, ValueError):
        return 0  # not JSON: only the status counts


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
