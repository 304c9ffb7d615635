"""Measures the lag of crons: from the scheduled time to the dispatch, and to the first line of the handler.

500 crons are spread over 60 minutes, then scheduled for the same minute. The platform's clock runs 120 times as
fast as real time, so that an hour takes 30 s. The handler prints the real time; the scheduled platform time is
converted to real time.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.local_platform import LocalPlatform, local_platform, write_project
from benchmarks.measurement import Figure

__all__ = ["run"]

CRONS = 500
SPEED = 120.0
MINUTES = 60
API = "/functions/v1beta1/regions/fr-par"
_CLOCK_SAMPLES = 20
_TIMEOUT = 120.0

HANDLER = """import json
import time

from fnkit import function


@function(memory=128, min_scale=1, max_scale=20)
def ticking(event, context):
    started = time.time()
    print(json.dumps({"fired": started, **json.loads(event["body"])}), flush=True)
    return ""
"""


@dataclass(frozen=True, slots=True)
class _Clock:
    """A platform time and the real time at which it was read, in Unix seconds."""

    platform_time: float
    real_time: float

    def to_real_time(self, platform_time: float) -> float:
        return self.real_time + (platform_time - self.platform_time) / SPEED


def run(_rounds: int, folder: Path) -> list[Figure]:
    """Measure the lag in milliseconds (median, p99, maximum), spread over minutes and all in the same minute."""
    project = write_project(folder / "project", HANDLER)
    with local_platform(folder / "platform", f"--clock-speed={SPEED}") as platform:
        platform.deploy(project)
        api = _Api(platform)
        try:
            function = api.get(f"{API}/functions")["functions"][0]["id"]
            spread = _measure_spread_runs(platform, api, function)
            spread_dispatch = api.lags(function)
            at_once = _measure_simultaneous_runs(platform, api, function)
            together_dispatch = api.lags(function)
        finally:
            api.close()
    apart, together = f"{CRONS} crons over {MINUTES} minutes", f"{CRONS} in one minute"
    return [
        *_figures(f"{apart}, to dispatch", spread_dispatch),
        *_figures(f"{apart}, to handler", spread),
        *_figures(f"{together}, to dispatch", together_dispatch),
        *_figures(f"{together}, to handler", at_once),
    ]


def _measure_spread_runs(platform: LocalPlatform, api: _Api, function: str) -> list[float]:
    for number in range(CRONS):
        minute = number * MINUTES // CRONS
        api.create(function, f"{minute} * * * *", {"set": "spread", "cron": number})
    begun = api.clock()
    started = (begun.platform_time // 60 + 2) * 60
    lines = _wait_for_lines(platform, "spread", CRONS, begun.to_real_time(started) + MINUTES * 60 / SPEED)
    clock, lags, seen = api.clock(), [], set()
    for line in lines:
        scheduled = _scheduled_before(clock, line["fired"], line["cron"] * MINUTES // CRONS)
        if scheduled >= started and line["cron"] not in seen:
            seen.add(line["cron"])
            lags.append(line["fired"] - clock.to_real_time(scheduled))
    return lags


def _measure_simultaneous_runs(platform: LocalPlatform, api: _Api, function: str) -> list[float]:
    for cron in api.crons(function):
        api.delete(cron)
    ahead = api.clock().platform_time + 20 * 60
    minute = int(ahead // 60 % 60)
    for number in range(CRONS):
        api.create(function, f"{minute} * * * *", {"set": "once", "cron": number})
    clock = api.clock()
    if clock.platform_time >= ahead // 60 * 60:
        raise RuntimeError("this machine creates the crons too slowly: their scheduled time has passed")
    lines = _wait_for_lines(platform, "once", CRONS, 0.0)
    clock = api.clock()
    return [line["fired"] - clock.to_real_time(ahead // 60 * 60) for line in lines]


def _scheduled_before(clock: _Clock, fired: float, minute: int) -> float:
    """Return the latest platform time at a minute of the hour that is not after a real time."""
    now = clock.platform_time + (fired - clock.real_time) * SPEED
    hour = now // 3600 * 3600
    scheduled = hour + minute * 60
    return scheduled if scheduled <= now + 1 else scheduled - 3600


def _wait_for_lines(platform: LocalPlatform, name: str, count: int, earliest: float) -> list[dict[str, Any]]:
    """Wait until handlers have printed ``count`` lines and the real time has passed; return the lines."""
    deadline = time.time() + _TIMEOUT
    while time.time() < deadline:
        lines = _printed_lines(platform, name)
        if len(lines) >= count and time.time() >= earliest:
            return lines
        time.sleep(0.5)
    raise RuntimeError(f"only {len(_printed_lines(platform, name))} of {count} scheduled runs arrived")


def _printed_lines(platform: LocalPlatform, name: str) -> list[dict[str, Any]]:
    found = []
    for file in Path(platform.status["data_dir"], "logs").glob("*/*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            text = json.loads(line).get("message", "") if line.endswith("}") else ""
            if text.startswith('{"fired"') and (one := json.loads(text))["set"] == name:
                found.append(one)
    return found


def _figures(what: str, lags: Sequence[float]) -> list[Figure]:
    """Return median, p99 and maximum of lags in seconds."""
    ordered = sorted(lag * 1000 for lag in lags)
    last = len(ordered) - 1
    return [
        Figure(f"cron lag, {what}: median of {len(ordered)}", statistics.median(ordered), "ms"),
        Figure(f"cron lag, {what}: p99", ordered[round(last * 0.99)], "ms"),
        Figure(f"cron lag, {what}: maximum", ordered[last], "ms"),
    ]


class _Api:
    """A client of the platform's API with a single connection."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(platform.status["api_url"]).netloc, timeout=60)
        self._headers = {"X-Auth-Token": platform.status["secret_key"], "Content-Type": "application/json"}

    def get(self, path: str) -> dict[str, Any]:
        """Send a GET and return the decoded response."""
        return self._request("GET", path, None)

    def create(self, function: str, schedule: str, args: dict[str, object]) -> None:
        """Create a cron."""
        self._request("POST", f"{API}/crons", {"function_id": function, "schedule": schedule, "args": args})

    def crons(self, function: str) -> list[str]:
        """Return the ids of all crons of a function."""
        pages = [self.get(f"{API}/crons?function_id={function}&page_size=100&page={n}") for n in range(1, 6)]
        return [cron["id"] for page in pages for cron in page["crons"]]

    def lags(self, function: str) -> list[float]:
        """Return the lag in seconds, from scheduled time to dispatch, of all runs of the function's crons."""
        found: list[float] = []
        for cron in self.crons(function):
            page = self.get(f"/fnkit/v1/regions/fr-par/crons/{cron}/deliveries?limit=100&status=succeeded")
            found += [one["lag_ms"] / 1000 for one in page["deliveries"]]
        return found

    def delete(self, cron: str) -> None:
        """Delete a cron."""
        self._request("DELETE", f"{API}/crons/{cron}", None)

    def clock(self) -> _Clock:
        """Return the platform's clock, using the fastest of several requests."""
        samples = []
        for _ in range(_CLOCK_SAMPLES):
            before = time.time()
            platform_time = self._request("POST", "/fnkit/v1/clock", {"advance": 0})["now"]
            after = time.time()
            samples.append((after - before, _Clock(platform_time, (before + after) / 2)))
        return min(samples, key=lambda sample: sample[0])[1]

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _request(self, method: str, path: str, body: dict[str, object] | None) -> dict[str, Any]:
        self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} returned {answer.status}: {content[:200]!r}")
        found: dict[str, Any] = json.loads(content)
        return found
