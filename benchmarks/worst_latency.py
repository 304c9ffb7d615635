"""The worst latency of a small function while another function gets, or sends, what is expensive to convert.

A client calls the small function again and again, one request at a time, from before each load until after it. The
figure is its slowest round trip during a load, in the median of the rounds. Without any load, that is the noise of
the machine.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
import time
from pathlib import Path

from benchmarks.load import Client
from benchmarks.local_platform import LocalPlatform, build_request, local_platform, write_project
from benchmarks.measurement import Figure

__all__ = ["run"]

_LARGE = 32 * 1024 * 1024
_CHUNK = 65536
_WRITERS = 20
_LEAST_SECONDS = 1.0

_HANDLERS = """import os
import time
from fnkit import function

ANSWERS = {
    "/headers": lambda: '{"headers":{' + ",".join(f'"a{i}":""' for i in range(1_500_000)) + "}}",
    "/keys": lambda: "{" + ",".join(f'"a{i}":1' for i in range(2_300_000)) + "}",
    "/base64": lambda: '{"isBase64Encoded":true,"body":"' + "QUFB\\\\n" * (5 * 1024 * 1024) + '"}',
}
prepared = {}


@function(memory=128)
def hello(event, context):
    return "hello"


@function(memory=1024, max_scale=1)
def large(event, context):
    path = event["path"].removeprefix("/prepare")
    if path not in ANSWERS:
        return "ok"
    if event["path"] != path:
        prepared[path] = ANSWERS[path]()
        return "ok"
    return prepared[path]


@function(memory=128, max_scale=20)
def writing(event, context):
    until = time.monotonic() + 3
    while time.monotonic() < until:
        os.write(1, b"\\n" * 65536)
    return "ok"
"""


def run(rounds: int, folder: Path) -> list[Figure]:
    """Measure the slowest round trip of the small function during each load, in milliseconds."""
    project = write_project(folder / "project", _HANDLERS)
    with local_platform(folder / "platform") as platform:
        hello, large, writing = sorted(platform.deploy(project))
        slow = _SlowestRoundTrip(platform, hello)
        loads = {
            "nothing else": [],
            "a body of 32 MiB of 0xFF": [_post(large, b"\xff" * _LARGE, _CHUNK)],
            "a body of 32 MiB of short lines": [_post(large, b"abc\n" * (_LARGE // 4), _CHUNK)],
            "a body of 8 MiB of zero bytes in chunks of one": [_post(large, b"\0" * (_LARGE // 4), 1)],
            "a response of 1,500,000 headers": [_get(large, "/headers")],
            "a response of 2,300,000 keys": [_get(large, "/keys")],
            "a response of 32 MiB of base64 in lines": [_get(large, "/base64")],
            f"{_WRITERS} instances that write newlines": [_get(writing, "/")] * _WRITERS,
        }
        for path in ("/headers", "/keys", "/base64"):
            _send(platform, _get(large, f"/prepare{path}"))
        return [
            Figure(
                f"slowest round trip beside {name}",
                statistics.median(slow.during(requests) for _ in range(rounds)) * 1000,
                "ms",
            )
            for name, requests in loads.items()
        ]


class _SlowestRoundTrip:
    """Calls a function while a load runs."""

    def __init__(self, platform: LocalPlatform, domain: str) -> None:
        self._platform = platform
        self._client = Client(platform.gateway, build_request(domain))
        self._round_trip()

    def during(self, requests: list[bytes]) -> float:
        """Send requests at once, and return the slowest round trip in seconds until they have all been answered."""
        threads = [threading.Thread(target=_send, args=(self._platform, one)) for one in requests]
        until = time.perf_counter() + _LEAST_SECONDS
        for thread in threads:
            thread.start()
        slowest = self._round_trip()
        while time.perf_counter() < until or any(thread.is_alive() for thread in threads):
            slowest = max(slowest, self._round_trip())
        return slowest

    def _round_trip(self) -> float:
        self._client.send()
        while not self._client.receive():
            pass
        elapsed = time.perf_counter() - self._client.started
        self._client.finish_response()
        return elapsed


def _get(domain: str, path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\n\r\n".encode()


def _post(domain: str, body: bytes, chunk: int) -> bytes:
    head = f"POST / HTTP/1.1\r\nHost: {domain}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    if chunk == 1:
        return head.encode() + b"1\r\n%b\r\n" % body[:1] * len(body) + b"0\r\n\r\n"
    chunks = (body[start : start + chunk] for start in range(0, len(body), chunk))
    return head.encode() + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + b"0\r\n\r\n"


def _send(platform: LocalPlatform, request: bytes) -> None:
    """Send a request and read its response to the end. The platform may refuse the request."""
    with contextlib.suppress(ConnectionError), socket.create_connection(platform.gateway, timeout=120) as client:
        client.sendall(request)
        while client.recv(1024 * 1024):
            pass
