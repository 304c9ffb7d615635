"""Export of spans to an OpenTelemetry collector, with OpenTelemetry's SDK (the extra ``otel``).

The event loop hands each finished request to the SDK's batch processor. The processor's thread turns the requests
into spans, with the names of the semantic conventions, and sends them; each function is a resource. ``OTEL_*``
variables configure the SDK.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeAlias

import requests
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from fnkit import __version__
from fnkit.platform.data_plane.gateway.tracing import Interval, RequestSpan
from fnkit.platform.model.metrics import SpanCounts
from fnkit.platform.model.routing import Route
from fnkit.platform.model.settings import OtlpSettings

# The defaults of OTEL_BSP_MAX_QUEUE_SIZE, OTEL_BSP_MAX_EXPORT_BATCH_SIZE and OTEL_BSP_SCHEDULE_DELAY.
_MAX_QUEUED: Final = 2048
_MAX_BATCH: Final = 512
_EXPORT_INTERVAL_MS: Final = 5000
_SWITCH_INTERVAL: Final = 0.0005
_REDIRECTS: Final = 300
_CLIENT_CLOSED_REQUEST: Final = 499
_FIRST_SERVER_ERROR: Final = 500
_BYTES_PER_MIB: Final = 1024 * 1024
_KNOWN_METHODS: Final = frozenset(
    {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"}
)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_SAMPLED_CONTEXT: Final = SpanContext(trace_id=1, span_id=1, is_remote=False, trace_flags=_SAMPLED)
_SCOPE: Final = InstrumentationScope("fnkit.gateway", __version__)
_log = logging.getLogger(__name__)

Attributes: TypeAlias = dict[str, str | int | bool]


class RequestSpanExporter:
    """Exports finished requests in the background.

    Args:
        settings: The collector, and the variables that configure the SDK.
    """

    def __init__(self, settings: OtlpSettings) -> None:
        # The SDK logs each failed export, with values of headers and URLs that may contain keys. One line of ours
        # replaces them.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        # A batch takes the SDK some 30 ms of computing, in which each request would wait the default of 5 ms for
        # the interpreter lock. With two connections this gives 40 % more requests per second.
        sys.setswitchinterval(_SWITCH_INTERVAL)
        with _environment(settings.environment):
            self._sender = _BatchSender(settings)
            self._processor = BatchSpanProcessor(self._sender, _MAX_QUEUED, _EXPORT_INTERVAL_MS, _MAX_BATCH)
        self._enqueued = 0
        self._overflowed = 0

    @property
    def counts(self) -> SpanCounts:
        """The number of exported and of dropped requests."""
        return SpanCounts(exported=self._sender.exported, dropped=self._sender.dropped + self._overflowed)

    def enqueue(self, span: RequestSpan) -> None:
        """Queue a finished request, or drop it if the queue is full. Never blocks."""
        # The SDK's queue is bounded as well, but it drops the oldest entry, logs every one and counts none.
        if self._enqueued - self._sender.received >= _MAX_QUEUED:
            self._overflowed += 1
            return
        self._enqueued += 1
        self._processor.on_end(_QueuedRequest(span))

    def close(self, timeout: float) -> None:
        """Export what is queued and stop, within the given seconds."""
        # The SDK waits up to 30 seconds, and only a daemon thread does not hold up the end of the process.
        shutdown = threading.Thread(target=self._processor.shutdown, name="span export shutdown", daemon=True)
        shutdown.start()
        shutdown.join(timeout)
        if (remaining := self._enqueued - self._sender.exported - self._sender.dropped) > 0:
            _log.warning("stopped with %d requests whose spans were not exported", remaining)


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set the variables while the SDK reads them. Functions' processes must not inherit them: they hold keys."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


class _QueuedRequest(ReadableSpan):
    """A finished request on its way through the SDK's queue, from which its spans are made only in the thread."""

    def __init__(self, request: RequestSpan) -> None:  # the attributes of ReadableSpan are never read
        self.request = request

    @property
    def context(self) -> SpanContext:
        return _SAMPLED_CONTEXT


class _FunctionResource(Resource):
    """A resource with a hash of its own.

    The SDK hashes the resource of each span, and encodes its attributes as JSON for that: a tenth of the export.
    """

    def __hash__(self) -> int:
        return hash((self.attributes.get("cloud.resource_id"), self.attributes.get("faas.version")))


class _BatchSender(SpanExporter):
    """Makes the spans of a batch of requests and sends them with the SDK's exporter. Runs in the SDK's thread.

    Attributes:
        received: Requests that left the queue.
        exported: Requests whose spans the collector accepted.
        dropped: Requests whose spans it did not.
    """

    def __init__(self, settings: OtlpSettings) -> None:
        session = requests.Session()
        session.hooks["response"].append(self._on_response)
        self._otlp: SpanExporter = OTLPSpanExporter(endpoint=settings.traces_url, session=session)
        self._shared = Resource.create()
        self._has_service_name = "OTEL_SERVICE_NAME" in settings.environment
        self._response: requests.Response | None = None
        self._is_collector_down = False
        self.received = 0
        self.exported = 0
        self.dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans of these requests."""
        requests_ended = [span.request for span in spans if isinstance(span, _QueuedRequest)]
        self.received += len(requests_ended)
        resources: dict[tuple[str, int], Resource] = {}
        made: list[ReadableSpan] = []
        for span in requests_ended:
            deployment = span.route.function_id, span.route.generation
            if (resource := resources.get(deployment)) is None:
                own = _resource_attributes(span.route, with_service=not self._has_service_name)
                resource = resources[deployment] = _FunctionResource({**self._shared.attributes, **own})
            made += _request_spans(span, resource)
        result, response = self._send(made)
        # The SDK takes a redirect, which it does not follow, for a success.
        if result is SpanExportResult.SUCCESS and response is not None and response.status_code < _REDIRECTS:
            self._count_exported(len(requests_ended), response.content)
            return result
        self._count_dropped(len(requests_ended), response)
        return SpanExportResult.FAILURE

    def _send(self, spans: Sequence[ReadableSpan]) -> tuple[SpanExportResult, requests.Response | None]:
        self._response = None
        return self._otlp.export(spans), self._response

    def shutdown(self) -> None:
        """Abort the export in progress."""
        self._otlp.shutdown()

    def _on_response(self, response: requests.Response, *_args: object, **_options: object) -> None:
        self._response = response

    def _count_exported(self, count: int, body: bytes) -> None:
        rejected = min(count, _rejected_count(body))
        self.dropped += rejected
        self.exported += count - rejected
        if self._is_collector_down:
            self._is_collector_down = False
            _log.info("the OTLP collector accepts spans again")

    def _count_dropped(self, count: int, response: requests.Response | None) -> None:
        self.dropped += count
        if not self._is_collector_down:
            self._is_collector_down = True
            reason = "no response" if response is None else f"status {response.status_code}"
            _log.warning("the OTLP collector does not accept spans (%s): dropping them until it does", reason)


def _rejected_count(body: bytes) -> int:
    try:
        answer = ExportTraceServiceResponse.FromString(body)
    except DecodeError:
        return 0  # only the status counts
    return max(0, int(answer.partial_success.rejected_spans))


def _resource_attributes(route: Route, *, with_service: bool) -> Attributes:
    attributes: Attributes = {
        "service.namespace": route.namespace,
        "cloud.region": route.region,
        "cloud.account.id": route.project_id,
        "cloud.resource_id": route.function_id,
        "faas.name": route.name,
        "faas.version": str(route.generation),
        "faas.max_memory": route.memory * _BYTES_PER_MIB,
    }
    if with_service:
        attributes["service.name"] = route.name
    return attributes


def _request_spans(span: RequestSpan, resource: Resource) -> list[ReadableSpan]:
    """Return the span of a request, and those of its wait for an instance and of a cold start."""
    trace_id = int(span.trace_id, 16)
    state = TraceState.from_header([span.tracestate])

    def context(span_id: str, *, is_remote: bool = False) -> SpanContext:
        return SpanContext(trace_id, int(span_id, 16), is_remote, _SAMPLED, state)

    def child(name: str, interval: Interval) -> ReadableSpan:
        return ReadableSpan(
            name,
            context(f"{random.getrandbits(64) or 1:016x}"),
            own,
            resource,
            start_time=interval.start,
            end_time=interval.end,
            instrumentation_scope=_SCOPE,
        )

    own = context(span.span_id)
    request = ReadableSpan(
        span.route.name,
        own,
        context(span.remote_parent_id, is_remote=True) if span.remote_parent_id else None,
        resource,
        _request_attributes(span),
        kind=SpanKind.SERVER,
        status=Status(StatusCode.ERROR if span.status >= _FIRST_SERVER_ERROR else StatusCode.UNSET),
        start_time=span.request.start,
        end_time=span.request.end,
        instrumentation_scope=_SCOPE,
    )
    children = [("queue", span.queue), ("cold start", span.cold_start)]
    return [request, *(child(name, interval) for name, interval in children if interval is not None)]


def _request_attributes(span: RequestSpan) -> Attributes:
    path = span.target.partition(b"?")[0].decode("latin-1")
    attributes: Attributes = {
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
