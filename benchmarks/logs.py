"""Measures log queries over the lines of a function, and the latency of API requests during a query.

``LINES`` lines of about 200 bytes nearly fill the segments that are kept per function. Query times are medians of
the rounds; the API request lists one namespace, repeatedly.
"""

from __future__ import annotations

import http.client
import json
import statistics
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.local_platform import LocalPlatform, local_platform
from benchmarks.measurement import Figure, elapsed_seconds
from fnkit.platform.data_plane.logs import LogWriter

__all__ = ["run"]

LINES = 240_000
_LINES_PER_MINUTE = 20_000
_NANOSECONDS_PER_LINE = 10**6
SELECTOR = '{resource_name="loud"}'
QUERIES = {
    "newest 100 lines": ("query_range", SELECTOR),
    "one line by its text": ("query_range", f'{SELECTOR} |= "needle-{LINES // 2}"'),
    "lines that match an expression nowhere": ("query_range", f'{SELECTOR} |~ "nowhere-[0-9]+"'),
    "count, no parser": ("query", f"sum(count_over_time({SELECTOR}[2h]))"),
    "count by a JSON field": ("query", f"sum by (level) (count_over_time({SELECTOR} | json [2h]))"),
    "series": ("series", ""),
}


def run(rounds: int, folder: Path) -> Sequence[Figure]:
    """Write the lines, measure the queries, then API requests without and with a concurrent query."""
    data_directory = folder / "platform"
    with local_platform(data_directory) as platform:
        start, end = _write_lines(data_directory, _create_function(platform))
        figures = []
        for name, (path, query) in QUERIES.items():
            run_query = partial(_query, platform, path, query, start, end)
            durations = [elapsed_seconds(run_query) for _ in range(rounds)]
            figures.append(Figure(f"{name}, {LINES:,} lines", statistics.median(durations) * 1000, "ms"))
        quiet = sorted(_request_times(platform, threading.Event(), 300))
        busy = sorted(_request_times_during_queries(platform, start, end, rounds))
    for name, times in (("no query runs", quiet), ("a count by a JSON field runs", busy)):
        figures.append(Figure(f"API request while {name}, p50", statistics.median(times) * 1000, "ms"))
        figures.append(Figure(f"API request while {name}, p99", times[int(len(times) * 0.99)] * 1000, "ms"))
    return figures


def _create_function(platform: LocalPlatform) -> str:
    api = "/functions/v1beta1/regions/fr-par"
    namespace = _request(platform, f"{api}/namespaces", {"name": "n", "project_id": platform.status["project_id"]})
    body = {"name": "loud", "namespace_id": namespace["id"], "runtime": "python311"}
    return str(_request(platform, f"{api}/functions", body)["id"])


def _write_lines(data_directory: Path, function: str) -> tuple[int, int]:
    start = time.time_ns() - 3600 * 10**9
    log_time, monotonic_time = [start], [0.0]
    writer = LogWriter(data_directory / "logs", lambda: log_time[0], lambda: monotonic_time[0])
    for number in range(LINES):
        if not number % _LINES_PER_MINUTE:
            monotonic_time[0] += 60.0
        log_time[0] += _NANOSECONDS_PER_LINE
        fields = {"level": "error" if number % 50 == 0 else "info", "text": f"needle-{number} and some words more"}
        writer.write(function, "i-1", f"request-{number}", "stdout", [json.dumps(fields).encode()])
    writer.close()
    return start, log_time[0] + 1


def _query(platform: LocalPlatform, path: str, query: str, start: int, end: int) -> object:
    parameters = urllib.parse.urlencode({"query": query or SELECTOR, "start": start, "end": end, "time": end})
    return _request(platform, f"/loki/api/v1/{path}?{parameters}")


def _request_times(platform: LocalPlatform, finished: threading.Event, maximum: int = 10**9) -> Iterator[float]:
    for _ in range(maximum):
        if finished.is_set():
            return
        yield elapsed_seconds(
            lambda: _request(platform, "/functions/v1beta1/regions/fr-par/namespaces?page_size=1")
        )


def _request_times_during_queries(platform: LocalPlatform, start: int, end: int, rounds: int) -> list[float]:
    finished = threading.Event()
    path, query = QUERIES["count by a JSON field"]

    def work() -> None:
        for _ in range(rounds):
            _query(platform, path, query, start, end)
        finished.set()

    thread = threading.Thread(target=work)
    thread.start()
    times = list(_request_times(platform, finished))
    thread.join()
    return times


def _request(platform: LocalPlatform, path: str, body: object = None) -> dict[str, object]:
    address = urlsplit(str(platform.status["api_url"]))
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=120)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(
            "GET" if data is None else "POST", path, data, {"X-Auth-Token": platform.status["secret_key"]}
        )
        answer = connection.getresponse()
        document = json.loads(answer.read())
        assert isinstance(document, dict), answer.status
        return document
    finally:
        connection.close()
