"""A fault-injecting HTTP proxy for an SQS server: it returns errors, breaks connections and fails batch entries."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

__all__ = ["SqsProxy", "running_sqs_proxy"]


@dataclass(slots=True)
class SqsProxy:
    """A running proxy. Operations have the names of the SQS API, such as ``ReceiveMessage``.

    Attributes:
        url: The proxy's own URL.
        upstream: The URL of the SQS server.
        responses: By operation, or "*", the error to return instead of forwarding: status, code and message, or
            ``None`` to break the connection.
        failing_entries: By operation, how many of the next batch entries fail.
        calls: The number of requests by operation.
        batch_sizes: By operation, the number of entries, or of requested messages, of each request.
        access_keys: Every access key in a signature.
        paths: Every path of a request.
        lock: Protects the fields above.
    """

    url: str = ""
    upstream: str = ""
    responses: dict[str, tuple[int, str, str] | None] = field(default_factory=dict)
    failing_entries: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    batch_sizes: dict[str, list[int]] = field(default_factory=dict)
    access_keys: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def respond(self, operation: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        """Return the response to a request, or ``None`` to break the connection."""
        request = json.loads(body)
        with self.lock:
            self.calls[operation] += 1
            self.access_keys.add(headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0])
            size = len(request["Entries"]) if "Entries" in request else int(request.get("MaxNumberOfMessages", 0))
            self.batch_sizes.setdefault(operation, []).append(size)
            if operation in self.responses or "*" in self.responses:
                error = self.responses.get(operation, self.responses.get("*"))
                return None if error is None else _error(*error)
            failing = []
            if "Entries" in request:
                number = min(self.failing_entries[operation], len(request["Entries"]))
                self.failing_entries[operation] -= number
                failing, request["Entries"] = request["Entries"][:number], request["Entries"][number:]
        return self._forward(request, failing, headers)

    def _forward(
        self, request: dict[str, Any], failing: list[dict[str, Any]], headers: dict[str, str]
    ) -> tuple[int, bytes]:
        failed = [{"Id": one["Id"], "Code": "InternalError", "SenderFault": False} for one in failing]
        if failing and not request["Entries"]:
            return 200, json.dumps({"Failed": failed}).encode()
        target = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        try:
            forwarded = {
                name: value for name, value in headers.items() if name.lower() not in ("content-length", "host")
            }
            connection.request("POST", "/", json.dumps(request).encode(), forwarded)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if failed and answer.status == 200:
            merged = json.loads(content)
            merged["Failed"] = [*merged.get("Failed", ()), *failed]
            content = json.dumps(merged).encode()
        return answer.status, content


def _error(status: int, code: str, message: str) -> tuple[int, bytes]:
    return status, json.dumps({"__type": f"com.amazonaws.sqs#{code}", "message": message}).encode()


@contextmanager
def running_sqs_proxy(upstream: str) -> Iterator[SqsProxy]:
    """Listen on a free port."""
    proxy = SqsProxy(upstream=upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            proxy.paths.add(self.path)
            try:
                found = proxy.respond(operation, body, dict(self.headers))
            except OSError:
                found = None
            if found is None:
                self.close_connection = True
                return
            status, content = found
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Ignore clients that closed their connection."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
