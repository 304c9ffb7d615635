"""An OTLP/HTTP collector: keeps what it is sent, answers what a test wants."""

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

__all__ = ["Collector", "Export", "ReceivedSpan", "running_collector"]


@dataclass(frozen=True)
class Export:
    """One request that came. Names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def spans(self) -> list[ReceivedSpan]:
        request = ExportTraceServiceRequest.FromString(self.body)
        document = MessageToDict(request, use_integers_for_enums=True)
        return [
            ReceivedSpan(with_hexadecimal_ids(span), attributes(group["resource"]["attributes"]))
            for group in document["resourceSpans"]
            for scope in group["scopeSpans"]
            for span in scope["spans"]
        ]

    @property
    def requests(self) -> int:
        """How many requests it tells of."""
        return sum(span.document["kind"] == 2 for span in self.spans)


@dataclass(frozen=True)
class ReceivedSpan:
    """One span with its resource. ``document`` is the span in OTLP's JSON mapping."""

    document: Mapping[str, Any]
    resource: Mapping[str, object]

    @property
    def attributes(self) -> dict[str, object]:
        return attributes(self.document.get("attributes", []))

    @property
    def name(self) -> str:
        return str(self.document["name"])

    @property
    def interval(self) -> tuple[int, int]:
        return int(self.document["startTimeUnixNano"]), int(self.document["endTimeUnixNano"])


def with_hexadecimal_ids(span: dict[str, Any]) -> dict[str, Any]:
    """Return the span as OTLP's JSON has it: protobuf's own mapping would be base64."""
    ids = {"traceId", "spanId", "parentSpanId"}
    return {name: base64.b64decode(value).hex() if name in ids else value for name, value in span.items()}


def attributes(pairs: list[dict[str, Any]]) -> dict[str, object]:
    """Read ``KeyValue`` messages as JSON has them: one member of the value says its type."""
    found: dict[str, object] = {}
    for pair in pairs:
        assert set(pair) == {"key", "value"}
        ((kind, value),) = pair["value"].items()
        assert kind in {"stringValue", "intValue", "boolValue"}
        found[pair["key"]] = int(value) if kind == "intValue" else value
    assert len(found) == len(pairs)
    return found


@dataclass
class Collector:
    """``answer`` decides on status and body for each export."""

    url: str
    answer: Callable[[Export], tuple[int, bytes]] = lambda _: (200, b"")
    exports: list[Export] = field(default_factory=list)

    @property
    def spans(self) -> list[ReceivedSpan]:
        return [span for export in list(self.exports) for span in export.spans]

    def servers(self) -> list[ReceivedSpan]:
        """The requests' own spans."""
        return [span for span in self.spans if span.document["kind"] == 2]


@contextmanager
def running_collector() -> Iterator[Collector]:
    collector = Collector("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            export = Export(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
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
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()
