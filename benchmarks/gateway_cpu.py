"""The data plane's CPU per warm request, against nginx's in front of the same Python bridge.

Both fronts are called through a Unix socket, keep their connections, run in one process, and have as many bridges
behind them as there are clients. nginx is sent ready-made what a bridge expects (``event`` and ``context`` as JSON)
and passes it on, its log turned off. The gateway gets the plain request and does everything it does: routing,
access, event, mapping, logging, metrics. Only the front's own process is counted, user and system time.

Round trips are in this machine's wall-clock time, so they count the bridge and the load generator too.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks.load import Address, Load, generate
from benchmarks.local_platform import HELLO, local_platform, request_for, written_project
from benchmarks.measuring import Comparison, in_turns
from benchmarks.nginx import nginx_before_bridges
from benchmarks.processes import cpu_seconds, need_linux
from fnkit.contract.invocation import build_context, build_event

__all__ = ["run"]

CONNECTIONS = (1, 8)
SECONDS = 2.0
GOAL = 3.0


def run(rounds: int, folder: Path) -> list[Comparison]:
    """CPU seconds per request of the front alone, then medians and 99th percentiles of round trips."""
    need_linux()
    project = written_project(folder / "project", HELLO)
    with (
        local_platform(folder / "platform") as platform,
        nginx_before_bridges(folder, project, "main.hello", max(CONNECTIONS)) as nginx,
    ):
        domain = platform.deployed(project)[0]
        plain = request_for(domain)
        found: list[Comparison] = []
        for connections in CONNECTIONS:
            ours = _Front(platform.private_socket, plain, platform.data_plane, connections)
            theirs = _Front(nginx.socket, envelope(domain), nginx.worker, connections)
            found += _compared(rounds, ours, theirs, connections)
    return found


class _Front:
    """One of the two, called again and again; remembers the round trips of each round."""

    def __init__(self, address: Address, request: bytes, pid: int, connections: int) -> None:
        self._once: Callable[[float], Load] = lambda seconds: generate(
            address, request, connections=connections, seconds=seconds
        )
        self._pid = pid
        self.loads: list[Load] = []
        self._once(0.5)  # every bridge runs, every connection is open

    def cpu(self) -> float:
        """CPU seconds per request of one round."""
        before = cpu_seconds(self._pid)
        load = self._once(SECONDS)
        self.loads.append(load)
        return (cpu_seconds(self._pid) - before) / load.requests

    def trips(self, part: float) -> tuple[float, ...]:
        """This percentile of each round."""
        return tuple(load.percentile(part) for load in self.loads)


def _compared(rounds: int, ours: _Front, theirs: _Front, connections: int) -> list[Comparison]:
    cpu = in_turns(rounds, ours.cpu, theirs.cpu)
    how = f"{connections} connection{'s' * (connections > 1)}"
    reference = "nginx before the same bridge"
    return [
        Comparison(f"gateway CPU per warm request, {how}", f"{reference}, CPU", *cpu, goal=GOAL),
        Comparison(f"warm round trip, {how}, p50", reference, ours.trips(0.5), theirs.trips(0.5)),
        Comparison(f"warm round trip, {how}, p99", reference, ours.trips(0.99), theirs.trips(0.99)),
    ]


def envelope(domain: str) -> bytes:
    """Return the request that a bridge gets for a plain GET, ready-made, for a front that makes none."""
    headers = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "00000000-0000-4000-a000-000000000000"),
        ("x-envoy-external-address", "127.0.0.1"),
    ]
    event = build_event(method="GET", path="/", query="", headers=headers, body=b"")
    context = build_context(memory_limit=128, function_name="hello")
    body = json.dumps({"event": event, "context": context}, separators=(",", ":")).encode()
    head = f"POST / HTTP/1.1\r\nHost: {domain}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
