"""An OTLP/HTTP collector that records export requests and returns the responses that a test chooses."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

__all__ = ["ExportRequest", "OtlpCollector", "ReceivedSpan", "running_collector"]


@dataclass(frozen=True)
class ExportRequest:
    """One received request. Header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def spans(self) -> list[ReceivedSpan]:
        request = ExportTraceServiceRequest.FromString(self.body)
        document = MessageToDict(request, use_integers_for_enums=True)
        return [
            ReceivedSpan(decode_span_ids(span), decode_attributes(group["resource"]["attributes"]))
            for group in document["resourceSpans"]
            for scope in group["scopeSpans"]
            for span in scope["spans"]
        ]

    @property
    def server_span_count(self) -> int:
        """The number of spans of kind SERVER: one for each HTTP request."""
        return sum(span.document["kind"] == 2 for span in self.spans)


@dataclass(frozen=True)
class ReceivedSpan:
    """One span with its resource. ``document`` is the span in OTLP's JSON mapping."""

    document: Mapping[str, Any]
    resource: Mapping[str, object]

    @property
    def attributes(self) -> dict[str, object]:
        return decode_attributes(self.document.get("attributes", []))

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def interval(self) -> tuple[int, int]:
        return int(self.document["startTimeUnixNano"]), int(self.document["endTimeUnixNano"])


def decode_span_ids(span: dict[str, Any]) -> dict[str, Any]:
    """Return the span with hexadecimal ids, as OTLP's JSON mapping specifies; protobuf's mapping uses base64."""
    ids = {"traceId", "spanId", "parentSpanId"}
    return {name: base64.b64decode(value).hex() if name in ids else value for name, value in span.items()}


def decode_attributes(pairs: list[dict[str, Any]]) -> dict[str, object]:
    """Decode ``KeyValue`` messages, in which the name of the value's only member is its type."""
    found: dict[str, object] = {}
    for pair in pairs:
        assert set(pair) == {"key", "value"}
        ((kind, value),) = pair["value"].items()
        assert kind in {"stringValue", "intValue", "boolValue"}
        found[pair["key"]] = int(value) if kind == "intValue" else value
    assert len(found) == len(pairs)
    return found


@dataclass
class OtlpCollector:
    """A running collector; ``answer`` returns the status and the body for each export request."""

    url: str
    answer: Callable[[ExportRequest], tuple[int, bytes]] = lambda _: (200, b"")
    exports: list[ExportRequest] = field(default_factory=list)

    @property
    def spans(self) -> list[ReceivedSpan]:
        return [span for export in list(self.exports) for span in export.spans]

    def server_spans(self) -> list[ReceivedSpan]:
        """Return the spans of kind SERVER."""
        return [span for span in self.spans if span.document["kind"] == 2]


@contextmanager
def running_collector() -> Iterator[OtlpCollector]:
    collector = OtlpCollector("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            export = ExportRequest(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            collector.exports.append(export)
            status, answer = collector.answer(export)
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
