"""A real HTTP proxy before an SQS server that does what no test server does: refuses keys, throttles, breaks."""

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

__all__ = ["SqsProxy", "running_proxy"]


@dataclass(slots=True)
class SqsProxy:
    """What it does with an operation (``ReceiveMessage`` …).

    statuses: by operation, what is answered instead of passing it on: (status, code, message), or ``None``: the
    connection breaks. failing: entries of batches that are refused, by the operation: how many still are.
    asked: how many messages each ReceiveMessage asked for.
    """

    url: str = ""
    upstream: str = ""
    statuses: dict[str, tuple[int, str, str] | None] = field(default_factory=dict)
    failing: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    entries: dict[str, list[int]] = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, operation: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes] | None:
        """Pass a request on, or not; ``None``: break the connection."""
        asked = json.loads(body)
        with self.guard:
            self.calls[operation] += 1
            self.keys.add(headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0])
            size = len(asked["Entries"]) if "Entries" in asked else int(asked.get("MaxNumberOfMessages", 0))
            self.entries.setdefault(operation, []).append(size)
            if operation in self.statuses or "*" in self.statuses:
                refusal = self.statuses.get(operation, self.statuses.get("*"))
                return None if refusal is None else _error(*refusal)
            refused = []
            if "Entries" in asked:
                number = min(self.failing[operation], len(asked["Entries"]))
                self.failing[operation] -= number
                refused, asked["Entries"] = asked["Entries"][:number], asked["Entries"][number:]
        return self._merged(asked, refused, headers)

    def _merged(
        self, asked: dict[str, Any], refused: list[dict[str, Any]], headers: dict[str, str]
    ) -> tuple[int, bytes]:
        failed = [{"Id": one["Id"], "Code": "InternalError", "SenderFault": False} for one in refused]
        if refused and not asked["Entries"]:
            return 200, json.dumps({"Failed": failed}).encode()
        target = urlsplit(self.upstream)
        connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=60)
        try:
            passed = {
                name: value for name, value in headers.items() if name.lower() not in ("content-length", "host")
            }
            connection.request("POST", "/", json.dumps(asked).encode(), passed)
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
def running_proxy(upstream: str) -> Iterator[SqsProxy]:
    """Listen on a free port."""
    proxy = SqsProxy(upstream=upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            operation = self.headers["X-Amz-Target"].rpartition(".")[2]
            proxy.paths.add(self.path)
            try:
                found = proxy.answer(operation, body, dict(self.headers))
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
            """A client that went away."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
