"""How late crons fire: from a tick's moment, in real time, to its hand-over and to its handler's first line.

500 crons over 60 different minutes, then 500 on one, on a platform whose clock runs 120 times as fast, so that an
hour takes 30 s. Each call of the handler prints the real time; the platform's clock says which real moment was
each tick's.
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

from benchmarks.local_platform import LocalPlatform, local_platform, written_project
from benchmarks.measuring import Figure

__all__ = ["run"]

CRONS = 500
SPEED = 120.0
MINUTES = 60
API = "/functions/v1beta1/regions/fr-par"
_LOOKS = 20
_PATIENCE = 120.0

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
    """Platform time ``then`` was real time ``real``; both Unix seconds."""

    then: float
    real: float

    def real_moment(self, platform_time: float) -> float:
        return self.real + (platform_time - self.then) / SPEED


def run(_rounds: int, folder: Path) -> list[Figure]:
    """Milliseconds: median, 99th percentile and worst, spread out and all at once."""
    project = written_project(folder / "project", HANDLER)
    with local_platform(folder / "platform", f"--clock-speed={SPEED}") as platform:
        platform.deployed(project)
        api = _Api(platform)
        try:
            function = api.get(f"{API}/functions")["functions"][0]["id"]
            spread = _spread(platform, api, function)
            spread_out = api.lags(function)
            at_once = _at_once(platform, api, function)
            at_once_out = api.lags(function)
        finally:
            api.close()
    apart, together = f"{CRONS} crons over {MINUTES} minutes", f"{CRONS} on one tick"
    return [
        *_figures(f"{apart}, to hand-over", spread_out),
        *_figures(f"{apart}, to handler", spread),
        *_figures(f"{together}, to hand-over", at_once_out),
        *_figures(f"{together}, to handler", at_once),
    ]


def _spread(platform: LocalPlatform, api: _Api, function: str) -> list[float]:
    for number in range(CRONS):
        minute = number * MINUTES // CRONS
        api.make(function, f"{minute} * * * *", {"set": "spread", "cron": number})
    begun = api.clock()
    started = (begun.then // 60 + 2) * 60
    lines = _lines_until(platform, "spread", CRONS, begun.real_moment(started) + MINUTES * 60 / SPEED)
    clock, lags, seen = api.clock(), [], set()
    for line in lines:
        tick = _tick_before(clock, line["fired"], line["cron"] * MINUTES // CRONS)
        if tick >= started and line["cron"] not in seen:
            seen.add(line["cron"])
            lags.append(line["fired"] - clock.real_moment(tick))
    return lags


def _at_once(platform: LocalPlatform, api: _Api, function: str) -> list[float]:
    for cron in api.crons(function):
        api.delete(cron)
    ahead = api.clock().then + 20 * 60
    minute = int(ahead // 60 % 60)
    for number in range(CRONS):
        api.make(function, f"{minute} * * * *", {"set": "once", "cron": number})
    clock = api.clock()
    if clock.then >= ahead // 60 * 60:
        raise RuntimeError("this machine made the crons too slowly for their tick")
    lines = _lines_until(platform, "once", CRONS, 0.0)
    clock = api.clock()
    return [line["fired"] - clock.real_moment(ahead // 60 * 60) for line in lines]


def _tick_before(clock: _Clock, fired: float, minute: int) -> float:
    """Return the newest platform time at that minute of an hour that is not after a real moment."""
    now = clock.then + (fired - clock.real) * SPEED
    hour = now // 3600 * 3600
    tick = hour + minute * 60
    return tick if tick <= now + 1 else tick - 3600


def _lines_until(platform: LocalPlatform, name: str, count: int, earliest: float) -> list[dict[str, Any]]:
    """What the handlers printed, once so many have and a real moment has passed."""
    deadline = time.time() + _PATIENCE
    while time.time() < deadline:
        lines = _printed(platform, name)
        if len(lines) >= count and time.time() >= earliest:
            return lines
        time.sleep(0.5)
    raise RuntimeError(f"only {len(_printed(platform, name))} of {count} ticks arrived")


def _printed(platform: LocalPlatform, name: str) -> list[dict[str, Any]]:
    found = []
    for file in Path(platform.facts["data_dir"], "logs").glob("*/*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            text = json.loads(line).get("message", "") if line.endswith("}") else ""
            if text.startswith('{"fired"') and (one := json.loads(text))["set"] == name:
                found.append(one)
    return found


def _figures(what: str, lags: Sequence[float]) -> list[Figure]:
    """Return the figures for lags in seconds."""
    ordered = sorted(lag * 1000 for lag in lags)
    last = len(ordered) - 1
    return [
        Figure(f"cron lag, {what}: median of {len(ordered)}", statistics.median(ordered), "ms"),
        Figure(f"cron lag, {what}: p99", ordered[round(last * 0.99)], "ms"),
        Figure(f"cron lag, {what}: worst", ordered[last], "ms"),
    ]


class _Api:
    """One connection to the platform's API."""

    def __init__(self, platform: LocalPlatform) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(platform.facts["api_url"]).netloc, timeout=60)
        self._headers = {"X-Auth-Token": platform.facts["secret_key"], "Content-Type": "application/json"}

    def get(self, path: str) -> dict[str, Any]:
        """Return the answer to a GET."""
        return self._ask("GET", path, None)

    def make(self, function: str, schedule: str, args: dict[str, object]) -> None:
        """Make a cron."""
        self._ask("POST", f"{API}/crons", {"function_id": function, "schedule": schedule, "args": args})

    def crons(self, function: str) -> list[str]:
        """Return the ids of all crons of a function."""
        pages = [self.get(f"{API}/crons?function_id={function}&page_size=100&page={n}") for n in range(1, 6)]
        return [cron["id"] for page in pages for cron in page["crons"]]

    def lags(self, function: str) -> list[float]:
        """Return the seconds from tick to hand-over of everything that the function's crons fired."""
        found: list[float] = []
        for cron in self.crons(function):
            page = self.get(f"/fnkit/v1/regions/fr-par/crons/{cron}/deliveries?limit=100&status=succeeded")
            found += [one["lag_ms"] / 1000 for one in page["deliveries"]]
        return found

    def delete(self, cron: str) -> None:
        """Delete a cron."""
        self._ask("DELETE", f"{API}/crons/{cron}", None)

    def clock(self) -> _Clock:
        """Return what the platform's clock says, from the quickest of some looks."""
        looks = []
        for _ in range(_LOOKS):
            before = time.time()
            then = self._ask("POST", "/fnkit/v1/clock", {"advance": 0})["now"]
            after = time.time()
            looks.append((after - before, _Clock(then, (before + after) / 2)))
        return min(looks, key=lambda look: look[0])[1]

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def _ask(self, method: str, path: str, body: dict[str, object] | None) -> dict[str, Any]:
        self._connection.request(method, path, None if body is None else json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{method} {path} answered {answer.status}: {content[:200]!r}")
        found: dict[str, Any] = json.loads(content)
        return found
