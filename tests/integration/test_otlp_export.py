"""Trace context passed to handlers, and spans exported to a real collector over HTTP."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from fnkit.platform.model.metrics import DataPlaneMetricsSnapshot, SpanCounts
from fnkit.platform.model.settings import OtlpSettings
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.handler_latch import handler_latch
from tests.support.metrics import function_metrics, wait_for_counts
from tests.support.otlp_collector import OtlpCollector, ReceivedSpan, running_collector
from tests.support.ports import free_port
from tests.support.waiting import DEADLINE, wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
PARTIAL_SUCCESS = ExportTraceServiceResponse(
    partial_success=ExportTracePartialSuccess(rejected_spans=12)
).SerializeToString()
PARENT = f"00-{TRACE}-{CALLER}-01"

SHOW = """
def handle(event, context):
    if event["path"] == "/boom":
        raise RuntimeError("no")
    if event["path"] == "/wait":
        wait_for_latch()
    names = ("Traceparent", "Tracestate")
    return {"body": {name: event["headers"].get(name) for name in names}}
"""


@contextmanager
def exporting(collector_url: str, **variables: str) -> Iterator[DataPlaneProcess]:
    otlp = OtlpSettings(traces_url=f"{collector_url}/v1/traces", environment=variables)
    with running_data_plane(otlp=otlp) as plane:
        yield plane


def trace_headers(
    plane: DataPlaneProcess, headers: dict[str, str], name: str = "show"
) -> tuple[str | None, str | None]:
    document = plane.call(name, headers=headers).json()
    assert isinstance(document, dict)
    return document["Traceparent"], document["Tracestate"]


def span_counts(plane: DataPlaneProcess) -> SpanCounts | None:
    reply = plane.call_private_listener("data-plane", "/metrics")
    return msgspec.msgpack.decode(reply.body, type=DataPlaneMetricsSnapshot).spans


# Without an export


@pytest.fixture(scope="module")
def without_export() -> Iterator[DataPlaneProcess]:
    with running_data_plane() as plane:
        plane.deploy("show", SHOW)
        yield plane


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, (None, None)),
        ({"traceparent": PARENT}, (PARENT, None)),
        ({"TraceParent": PARENT, "TraceState": "a=1, b=2"}, (PARENT, "a=1,b=2")),
        ({"traceparent": f"cc-{TRACE}-{CALLER}-01-later"}, (f"cc-{TRACE}-{CALLER}-01-later", None)),
        ({"traceparent": "garbage", "tracestate": "a=1"}, (None, None)),
        ({"traceparent": f"ff-{TRACE}-{CALLER}-01"}, (None, None)),
        ({"tracestate": "a=1"}, (None, None)),
        ({"traceparent": PARENT, "tracestate": "NO=1"}, (PARENT, None)),
    ],
)
def test_only_valid_trace_context_reaches_the_handler(
    without_export: DataPlaneProcess, headers: dict[str, str], expected: tuple[str | None, str | None]
) -> None:
    assert trace_headers(without_export, headers) == expected


def test_duplicate_traceparent_is_ignored(without_export: DataPlaneProcess) -> None:
    answer = without_export.send_raw(
        f"GET / HTTP/1.1\r\nHost: show.test\r\ntraceparent: {PARENT}\r\nTraceparent: {PARENT}\r\n"
        "Connection: close\r\n\r\n".encode()
    )
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"Traceparent": None, "Tracestate": None}


def test_no_spans_are_counted_without_export(without_export: DataPlaneProcess) -> None:
    assert span_counts(without_export) is None


# With an export


Headers = tuple[str | None, str | None]


@dataclass
class TracedRequests:
    """Trace headers as the handler saw them, by the context that the caller sent.

    Attributes:
        waited: How long the second of two requests waited for the instance at least, in nanoseconds.
    """

    collector: OtlpCollector
    forwarded: Headers
    generated: Headers
    unsampled: Headers
    waited: int


@pytest.fixture(scope="module")
def traced() -> Iterator[TracedRequests]:
    """Send all requests, and yield once their spans are exported."""
    with running_collector() as collector, handler_latch() as latch:
        with exporting(collector.url, OTEL_EXPORTER_OTLP_HEADERS="x-key=s3cret") as plane:
            show = plane.deploy("show", latch.source + SHOW, max_scale=1)
            cold = plane.deploy("cold", latch.source + SHOW, memory=512, max_scale=2)
            forwarded = trace_headers(
                plane, {"traceparent": PARENT, "tracestate": "a=1", "x-request-id": "req-1", "user-agent": "test"}
            )
            generated = trace_headers(plane, {"traceparent": "garbage", "tracestate": "a=1"})
            unsampled = trace_headers(plane, {"traceparent": PARENT[:-1] + "0"})
            plane.call("show", "/boom?token=hidden")
            threads = [
                threading.Thread(
                    target=plane.call,
                    args=(name, "/wait"),
                    kwargs={"headers": {"x-request-id": f"{name}-{number}"}},
                )
                for name in ("show", "cold")
                for number in range(2)
            ]
            for thread in threads:
                thread.start()
            wait_for_counts(plane, show, busy=1, waiting=1)
            since = time.monotonic_ns()
            wait_for_counts(plane, cold, busy=2)
            waited = time.monotonic_ns() - since
            latch.release()
            for thread in threads:
                thread.join()
            latch.reset()
            disconnecting = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=60)
            disconnecting.request("GET", "/wait", headers={"Host": "show.test", "x-request-id": "disconnected"})
            wait_for_counts(plane, show, busy=1)
            disconnecting.close()
            wait_until(lambda: function_metrics(plane, show).requests.get(499))
            latch.release()
            send_requests(plane, 512)  # the size of one batch
            wait_until(
                lambda: any(
                    one.attributes["faas.invocation_id"] == "disconnected" for one in collector.server_spans()
                )
            )
        yield TracedRequests(collector, forwarded, generated, unsampled, waited)


def by_request(collector: OtlpCollector, request_id: str) -> ReceivedSpan:
    return next(span for span in collector.server_spans() if span.attributes["faas.invocation_id"] == request_id)


def child_spans(collector: OtlpCollector, parent: ReceivedSpan) -> dict[str, ReceivedSpan]:
    return {
        span.name: span
        for span in collector.spans
        if span.document.get("parentSpanId") == parent.document["spanId"] and span.document["kind"] == 1
    }


def test_export_request_has_path_and_headers(traced: TracedRequests) -> None:
    export = traced.collector.exports[0]
    assert export.path == "/v1/traces"
    assert export.headers["content-type"] == "application/x-protobuf"
    assert export.headers["x-key"] == "s3cret"


def test_request_is_a_server_span_in_the_callers_trace(traced: TracedRequests) -> None:
    collector = traced.collector
    span = by_request(collector, "req-1")
    document = span.document
    assert (document["name"], document["kind"]) == ("show", 2)
    assert (document["traceId"], document["parentSpanId"]) == (TRACE, CALLER)
    assert document["traceState"] == "a=1"
    assert document["flags"] == 0x300
    assert document["status"] == {}
    began, ended = span.interval
    assert 0 < began <= ended <= time.time_ns()
    assert span.attributes == {
        "http.request.method": "GET",
        "url.path": "/",
        "url.scheme": "http",
        "server.address": "show.test",
        "client.address": "127.0.0.1",
        "user_agent.original": "test",
        "network.protocol.name": "http",
        "network.protocol.version": "1.1",
        "http.response.status_code": 200,
        "faas.trigger": "http",
        "faas.invocation_id": "req-1",
        "faas.coldstart": False,
        "faas.instance": span.attributes["faas.instance"],
    }
    assert span.resource["service.name"] == span.resource["faas.name"] == "show"
    assert span.resource["service.namespace"] == "tests"
    assert span.resource["cloud.region"] == "fr-par"
    assert span.resource["faas.max_memory"] == 256 * 1024 * 1024
    assert traced.forwarded == (f"00-{TRACE}-{document['spanId']}-01", "a=1")


def test_malformed_context_starts_a_new_trace(traced: TracedRequests) -> None:
    collector = traced.collector
    parent, state = traced.generated
    found = re.fullmatch(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01", parent or "")
    assert found is not None
    assert state is None
    assert found[1] != TRACE
    span = next(span for span in collector.server_spans() if span.document["traceId"] == found[1])
    assert span.document["spanId"] == found[2]
    assert "parentSpanId" not in span.document
    assert span.document["flags"] == 0x100


def test_unsampled_request_is_propagated_but_not_exported(
    traced: TracedRequests,
) -> None:
    collector = traced.collector
    assert traced.unsampled == (PARENT[:-1] + "0", None)
    assert sum(span.document["traceId"] == TRACE for span in collector.server_spans()) == 1


def test_handler_error_sets_span_status_and_query_is_not_exported(
    traced: TracedRequests,
) -> None:
    collector = traced.collector
    span = next(span for span in collector.server_spans() if span.attributes["url.path"] == "/boom")
    assert span.document["status"] == {"code": 2}
    assert span.attributes["http.response.status_code"] == 500
    assert span.attributes["error.type"] == "500"
    assert not any(b"hidden" in export.body for export in collector.exports)


def test_queue_wait_is_a_child_span(traced: TracedRequests) -> None:
    collector = traced.collector
    spans = [by_request(collector, f"show-{number}") for number in range(2)]
    waits = [child_spans(collector, span) for span in spans]
    assert sorted(map(set, waits), key=len) == [set(), {"queue"}]
    (waited,) = [(span, children["queue"]) for span, children in zip(spans, waits, strict=True) if children]
    whole, queue = waited[0].interval, waited[1].interval
    assert whole[0] == queue[0]
    assert queue[1] <= whole[1]
    assert queue[1] - queue[0] > traced.waited
    assert waited[1].document["traceId"] == waited[0].document["traceId"]


def test_cold_start_is_a_child_span(traced: TracedRequests) -> None:
    collector = traced.collector
    spans = [by_request(collector, f"cold-{number}") for number in range(2)]
    (cold,) = [span for span in spans if span.attributes["faas.coldstart"]]
    children = child_spans(collector, cold)
    assert set(children) == {"queue", "cold start"}
    start, queue = children["cold start"].interval, children["queue"].interval
    assert queue[0] <= start[0] < start[1] <= queue[1]


def test_client_disconnect_has_no_status_code(traced: TracedRequests) -> None:
    span = by_request(traced.collector, "disconnected")
    assert "http.response.status_code" not in span.attributes
    assert span.attributes["error.type"] == "client_disconnected"


def test_span_ids_are_hexadecimal_and_unique(traced: TracedRequests) -> None:
    ids = [span.document["spanId"] for span in traced.collector.spans]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in ids)
    assert all(re.fullmatch(r"[0-9a-f]{32}", span.document["traceId"]) for span in traced.collector.spans)


@pytest.mark.long
def test_configured_service_name_applies_to_all_spans() -> None:
    with running_collector() as collector:
        with exporting(collector.url, OTEL_SERVICE_NAME="mine") as plane:
            plane.deploy("show", SHOW)
            send_requests(plane, 512)
            wait_until(collector.server_spans)
        assert {span.resource["service.name"] for span in collector.server_spans()} == {"mine"}


# A failing collector


def send_requests(plane: DataPlaneProcess, number: int) -> None:
    """Send requests over one connection; each must succeed."""
    connection = http.client.HTTPConnection("127.0.0.1", plane.port, timeout=60)
    for _ in range(number):
        connection.request("GET", "/", headers={"Host": "show.test"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
    connection.close()


def log_of(plane: DataPlaneProcess) -> str:
    return (plane.folder / "stderr.log").read_text()


@pytest.mark.long
def test_unreachable_collector_fails_no_request_and_logs_once() -> None:
    with exporting(f"http://127.0.0.1:{free_port()}") as plane:
        plane.deploy("show", SHOW)
        send_requests(plane, 1100)  # two batches
        wait_until(lambda: (span_counts(plane) or SpanCounts(exported=0, dropped=0)).dropped >= 512)
        line = "the OTLP collector does not accept spans"
        wait_until(lambda: line in log_of(plane))
        assert log_of(plane).count(line) == 1


@pytest.mark.long
def test_hanging_collector_delays_neither_requests_nor_shutdown() -> None:
    with running_collector() as collector:
        over = threading.Event()
        collector.answer = lambda _: (200, b"" if over.wait(2 * DEADLINE) else b"late")
        with exporting(collector.url, OTEL_EXPORTER_OTLP_TIMEOUT=str(2 * DEADLINE)) as plane:
            plane.deploy("show", SHOW)
            send_requests(plane, 600)
            wait_until(lambda: collector.exports)
            send_requests(plane, 10)
            assert plane.stop() == 0
            over.set()


def all_counted(plane: DataPlaneProcess) -> SpanCounts | None:
    counts = span_counts(plane)
    return counts if counts is not None and counts.exported + counts.dropped == 512 else None


@pytest.mark.long
@pytest.mark.parametrize(
    ("status", "body", "rejected"),
    [
        (200, b"\xff garbage", 0),
        (200, PARTIAL_SUCCESS, 12),
        (400, b"", 512),
        (301, b"", 512),
    ],
)
def test_collector_response_determines_dropped_span_count(status: int, body: bytes, rejected: int) -> None:
    """``rejected`` is per export. There is one export, or several if 512 requests take longer than five seconds."""
    with running_collector() as collector:
        collector.answer = lambda _: (status, body)
        with exporting(collector.url) as plane:
            plane.deploy("show", SHOW)
            send_requests(plane, 512)
            counts = wait_until(lambda: all_counted(plane))
        dropped = sum(min(rejected, export.server_span_count) for export in collector.exports)
        assert counts == SpanCounts(exported=512 - dropped, dropped=dropped)


@pytest.mark.long
def test_retryable_export_error_is_retried() -> None:
    with running_collector() as collector:
        collector.answer = lambda _: (503, b"") if len(collector.exports) < 2 else (200, b"")
        with exporting(collector.url) as plane:
            plane.deploy("show", SHOW)
            send_requests(plane, 512)
            wait_until(lambda: len(collector.exports) >= 2)
        assert collector.exports[0].body == collector.exports[1].body


@pytest.mark.long
@pytest.mark.parametrize("headers", ["s3cret", "a=s3cret%0d%0ax: y"])
def test_invalid_export_header_is_not_logged(headers: str) -> None:
    with running_collector() as collector, exporting(collector.url, OTEL_EXPORTER_OTLP_HEADERS=headers) as plane:
        plane.deploy("show", SHOW)
        send_requests(plane, 512)
        wait_until(lambda: all_counted(plane))
        assert "s3cret" not in log_of(plane)


@pytest.mark.long
def test_handler_does_not_inherit_otel_variables() -> None:
    source = (
        "import os\n\ndef handle(event, context):\n    return {'body': [n for n in os.environ if 'OTEL' in n]}\n"
    )
    with running_collector() as collector, exporting(collector.url, OTEL_EXPORTER_OTLP_HEADERS="a=s3cret") as plane:
        plane.deploy("show", source)
        assert plane.call("show").json() == []
