"""Log queries over one function's kept lines, and what another request to the API waits for meanwhile.

``LINES`` lines of some 200 bytes nearly fill the segments that are kept of a function. Figures are medians of the
rounds; the waits are those of a list of one namespace, asked for again and again.
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
from benchmarks.measuring import Figure, seconds
from fnkit.platform.engine.logs import LogWriter

__all__ = ["run"]

LINES = 240_000
_A_MINUTE = 20_000
_STEP = 10**6
SELECTOR = '{resource_name="loud"}'
QUESTIONS = {
    "newest 100 lines": ("query_range", SELECTOR),
    "one line by its text": ("query_range", f'{SELECTOR} |= "needle-{LINES // 2}"'),
    "lines that match an expression nowhere": ("query_range", f'{SELECTOR} |~ "nowhere-[0-9]+"'),
    "count, no parser": ("query", f"sum(count_over_time({SELECTOR}[2h]))"),
    "count by a JSON field": ("query", f"sum by (level) (count_over_time({SELECTOR} | json [2h]))"),
    "series": ("series", ""),
}


def run(rounds: int, folder: Path) -> Sequence[Figure]:
    """Write the lines, ask, and ask while something else asks."""
    home = folder / "platform"
    with local_platform(home) as platform:
        start, end = _written(home, _function(platform))
        found = []
        for name, (path, query) in QUESTIONS.items():
            asking = partial(_ask, platform, path, query, start, end)
            took = [seconds(asking) for _ in range(rounds)]
            found.append(Figure(f"{name}, {LINES:,} lines", statistics.median(took) * 1000, "ms"))
        quiet = sorted(_waits(platform, threading.Event(), 300))
        busy = sorted(_waits_while(platform, start, end, rounds))
    for name, waits in (("nothing else is asked", quiet), ("a count by a JSON field runs", busy)):
        found.append(Figure(f"API request while {name}, p50", statistics.median(waits) * 1000, "ms"))
        found.append(Figure(f"API request while {name}, p99", waits[int(len(waits) * 0.99)] * 1000, "ms"))
    return found


def _function(platform: LocalPlatform) -> str:
    api = "/functions/v1beta1/regions/fr-par"
    namespace = _request(platform, f"{api}/namespaces", {"name": "n", "project_id": platform.facts["project_id"]})
    body = {"name": "loud", "namespace_id": namespace["id"], "runtime": "python311"}
    return str(_request(platform, f"{api}/functions", body)["id"])


def _written(home: Path, function: str) -> tuple[int, int]:
    start = time.time_ns() - 3600 * 10**9
    moment, minute = [start], [0.0]
    writer = LogWriter(home / "logs", lambda: moment[0], lambda: minute[0])
    for number in range(LINES):
        if not number % _A_MINUTE:
            minute[0] += 60.0
        moment[0] += _STEP
        fields = {"level": "error" if number % 50 == 0 else "info", "text": f"needle-{number} and some words more"}
        writer.write(function, "i-1", f"request-{number}", "stdout", [json.dumps(fields).encode()])
    writer.close()
    return start, moment[0] + 1


def _ask(platform: LocalPlatform, path: str, query: str, start: int, end: int) -> object:
    parameters = urllib.parse.urlencode({"query": query or SELECTOR, "start": start, "end": end, "time": end})
    return _request(platform, f"/loki/api/v1/{path}?{parameters}")


def _waits(platform: LocalPlatform, ended: threading.Event, most: int = 10**9) -> Iterator[float]:
    for _ in range(most):
        if ended.is_set():
            return
        yield seconds(lambda: _request(platform, "/functions/v1beta1/regions/fr-par/namespaces?page_size=1"))


def _waits_while(platform: LocalPlatform, start: int, end: int, rounds: int) -> list[float]:
    ended = threading.Event()
    path, query = QUESTIONS["count by a JSON field"]

    def work() -> None:
        for _ in range(rounds):
            _ask(platform, path, query, start, end)
        ended.set()

    thread = threading.Thread(target=work)
    thread.start()
    waits = list(_waits(platform, ended))
    thread.join()
    return waits


def _request(platform: LocalPlatform, path: str, body: object = None) -> dict[str, object]:
    address = urlsplit(str(platform.facts["api_url"]))
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=120)
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(
            "GET" if data is None else "POST", path, data, {"X-Auth-Token": platform.facts["secret_key"]}
        )
        answer = connection.getresponse()
        document = json.loads(answer.read())
        assert isinstance(document, dict), answer.status
        return document
    finally:
        connection.close()
