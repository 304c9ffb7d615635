"""Compares the platform's API with a bare starlette endpoint that returns the same bytes.

One client sends ``REQUESTS`` requests sequentially on one connection; the result is their median. The bare endpoint
runs under uvicorn with the same event loop and parser. The platform has few functions, then many.
"""

from __future__ import annotations

import http.client
import json
import socket
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from benchmarks.local_platform import LocalPlatform, local_platform
from benchmarks.measurement import Comparison, measure_alternately
from fnkit.platform.control.store.database import Store
from fnkit.platform.model.settings import DataLayout

__all__ = ["run"]

REQUESTS = 400
FUNCTIONS_PER_NAMESPACE = 100
SIZES = (100, 10_000)
API = "/functions/v1beta1/regions/fr-par"

BARE_SERVER = """
import socket, sys, uvicorn
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route
BODIES = {f"/{path.name}": path.read_bytes() for path in Path(sys.argv[1]).iterdir()}
async def answer(request):
    return Response(BODIES[request.url.path], media_type="application/json")
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
app = Starlette(routes=[Route(path, answer) for path in BODIES])
config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
uvicorn.Server(config).run(sockets=[listener])
"""


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure a get, a page of 100 functions, the last page, and a lookup by name."""
    comparisons: list[Comparison] = []
    for size in SIZES:
        data_directory = folder / f"platform-{size}"
        namespace, function = _create_platform(data_directory, size)
        with local_platform(data_directory) as platform:
            comparisons += _compare(rounds, platform, folder, size, _endpoints(size, namespace, function))
    return comparisons


def _endpoints(size: int, namespace: str, function: str) -> dict[str, tuple[str, float]]:
    """Return the path and goal of each request by name."""
    last = size // FUNCTIONS_PER_NAMESPACE
    return {
        "get": (f"{API}/functions/{function}", 3.0),
        "list of 100": (f"{API}/functions?namespace_id={namespace}&page_size=100", 6.0),
        "last page of 100": (f"{API}/functions?page_size=100&page={last}", 6.0),
        "one by name": (f"{API}/functions?name=f-50&namespace_id={namespace}", 6.0),
    }


def _compare(
    rounds: int, platform: LocalPlatform, folder: Path, size: int, endpoints: dict[str, tuple[str, float]]
) -> list[Comparison]:
    ours = _Client(int(urlsplit(platform.status["api_url"]).port or 0), platform.status["secret_key"])
    answers = folder / f"answers-{size}"
    answers.mkdir()
    for name, (path, _) in endpoints.items():
        (answers / name.replace(" ", "-")).write_bytes(ours.get(path))
    comparisons = []
    with _bare_server(answers) as port:
        bare = _Client(port, platform.status["secret_key"])
        for name, (path, goal) in endpoints.items():
            same = f"/{name.replace(' ', '-')}"
            figures = measure_alternately(rounds, partial(ours.median, path), partial(bare.median, same))
            kilobytes = len(ours.get(path)) / 1000
            label = f"API: {name}, {size:,} functions"
            comparisons.append(Comparison(label, f"bare endpoint, {kilobytes:.1f} kB", *figures, goal=goal))
        bare.close()
    ours.close()
    return comparisons


def _create_platform(data_directory: Path, size: int) -> tuple[str, str]:
    """Create a platform with ``size`` functions; return the ids of a namespace and of a function in it.

    The API creates one of each. Copies of these are inserted into the store directly, where no quota applies.
    """
    with local_platform(data_directory) as platform:
        project = platform.status["project_id"]
        namespace = _create(platform, "namespaces", {"name": "n-0", "project_id": project})
        function = _create(
            platform, "functions", {"name": "f-0", "namespace_id": namespace, "runtime": "python313"}
        )
    store = Store(DataLayout(data_directory).database)
    with store.transaction():
        first, model = store.namespaces.get(namespace), store.functions.get(function)
        if first is None or model is None:
            raise RuntimeError("the store lacks a resource that the API created")
        for number in range(1, size):
            group, member = divmod(number, FUNCTIONS_PER_NAMESPACE)
            if member == 0:
                first = msgspec.structs.replace(first, id=str(uuid.uuid4()), name=f"n-{group}")
                store.namespaces.insert(first)
            copy = msgspec.structs.replace(
                model, id=str(uuid.uuid4()), name=f"f-{member}", namespace_id=first.id, uid=0
            )
            store.functions.insert(copy)
    store.close()
    return namespace, function


def _create(platform: LocalPlatform, kind: str, body: dict[str, object]) -> str:
    connection = http.client.HTTPConnection(urlsplit(platform.status["api_url"]).netloc, timeout=30)
    connection.request("POST", f"{API}/{kind}", json.dumps(body), {"X-Auth-Token": platform.status["secret_key"]})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return str(answer["id"])


class _Client:
    """A minimal HTTP client, so that the time of the servers dominates."""

    def __init__(self, port: int, key: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._key = key

    def get(self, path: str) -> bytes:
        """Send a GET and return the body; raise ``RuntimeError`` unless the status is 200."""
        self._socket.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {self._key}\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += self._socket.recv(1 << 20)
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        if not lines[0].startswith(b"http/1.1 200"):
            raise RuntimeError(f"{path} returned {lines[0].decode()}")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:"))
        parts = [body]
        missing = length - len(body)
        while missing:
            parts.append(self._socket.recv(1 << 20))
            missing -= len(parts[-1])
        return b"".join(parts)

    def median(self, path: str) -> float:
        """Return the median duration of ``REQUESTS`` requests in seconds."""
        times = []
        for _ in range(REQUESTS):
            started = time.perf_counter()
            self.get(path)
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


@contextmanager
def _bare_server(answers: Path) -> Iterator[int]:
    """Run the bare endpoint and yield its port."""
    process = subprocess.Popen([sys.executable, "-c", BARE_SERVER, str(answers)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
