"""A Loki server over HTTP that keeps its lines in memory and answers ``query_range``, whatever the selector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, scripted_server

__all__ = ["LokiStore", "StoredLine", "loki_store"]


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line: Unix nanoseconds, text, and the labels beside the function's."""

    time: int
    text: str
    labels: tuple[tuple[str, str], ...] = (("stream", "stdout"),)


@dataclass
class LokiStore:
    """The server. Lines become visible once they are in ``lines``.

    ``responses`` are returned first, one for each request.
    """

    url: str = ""
    lines: list[StoredLine] = field(default_factory=list)
    responses: list[ScriptedResponse] = field(default_factory=list)
    requests: list[ReceivedRequest] = field(default_factory=list)

    def answer(self, request: ReceivedRequest, _number: int) -> ScriptedResponse:
        self.requests.append(request)
        if self.responses:
            return self.responses.pop(0)
        given = parse_qs(request.body.decode() if request.method == "POST" else urlsplit(request.path).query)
        start, limit = int(given["start"][0]), int(given["limit"][0])
        end = int(given["end"][0]) if "end" in given else 2**63
        found = sorted((one for one in self.lines if start <= one.time < end), key=lambda one: one.time)
        chosen = found[:limit] if given["direction"] == ["forward"] else found[-limit:]
        streams = [
            {
                "stream": {"resource_id": "f-1", "resource_name": "orders", **dict(one.labels)},
                "values": [[str(one.time), one.text]],
            }
            for one in chosen
        ]
        document = {"status": "success", "data": {"resultType": "streams", "result": streams}}
        return ScriptedResponse(body=json.dumps(document).encode())


@contextmanager
def loki_store() -> Iterator[LokiStore]:
    """Serve on a free port."""
    store = LokiStore()
    with scripted_server(store.answer) as server:
        store.url = server.url
        yield store
