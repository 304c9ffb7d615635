"""Compares the CPU time per warm request of the data plane with that of nginx in front of the same workers.

Both servers listen on a loopback port, keep connections open, run in one process, and have as many workers as there
are clients. nginx receives the request in the form that a worker expects (``event`` and ``context`` as JSON) and
forwards it without logging. The gateway receives a plain request and does all its work: routing, authorization,
event, response mapping, logging, metrics. Only the CPU time of the server's own process counts, user and system.

Round trips are wall-clock time, so they include the worker and the load generator.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from benchmarks.load import Address, Load, generate_load
from benchmarks.local_platform import HELLO_HANDLER, build_request, local_platform, write_project
from benchmarks.measurement import Comparison, measure_alternately
from benchmarks.nginx import nginx_before_workers
from benchmarks.processes import cpu_seconds, require_linux
from fnkit.contract.invocation.event import build_context, build_event

__all__ = ["run"]

CONNECTIONS = (1, 8)
SECONDS = 2.0
GOAL = 3.0


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure CPU seconds per request of the server alone, then p50 and p99 of round trips."""
    require_linux()
    project = write_project(folder / "project", HELLO_HANDLER)
    with (
        local_platform(folder / "platform") as platform,
        nginx_before_workers(folder, project, "main.hello", max(CONNECTIONS)) as nginx,
    ):
        domain = platform.deploy(project)[0]
        plain = build_request(domain)
        comparisons: list[Comparison] = []
        for connections in CONNECTIONS:
            ours = _MeasuredServer(platform.gateway, plain, platform.data_plane_pid, connections)
            theirs = _MeasuredServer(
                ("127.0.0.1", nginx.port), encode_invocation(domain), nginx.worker, connections
            )
            comparisons += _compare(rounds, ours, theirs, connections)
    return comparisons


class _MeasuredServer:
    """One of the two servers, with the load of each round."""

    def __init__(self, address: Address, request: bytes, pid: int, connections: int) -> None:
        self._generate: Callable[[float], Load] = lambda seconds: generate_load(
            address, request, connections=connections, seconds=seconds
        )
        self._pid = pid
        self.loads: list[Load] = []
        self._generate(0.5)  # start all workers and open all connections

    def cpu_per_request(self) -> float:
        """Run a round and return its CPU seconds per request."""
        before = cpu_seconds(self._pid)
        load = self._generate(SECONDS)
        self.loads.append(load)
        return (cpu_seconds(self._pid) - before) / load.requests

    def round_trips(self, fraction: float) -> tuple[float, ...]:
        """Return a percentile of the round trips of each round."""
        return tuple(load.percentile(fraction) for load in self.loads)


def _compare(rounds: int, ours: _MeasuredServer, theirs: _MeasuredServer, connections: int) -> list[Comparison]:
    cpu = measure_alternately(rounds, ours.cpu_per_request, theirs.cpu_per_request)
    connections_text = f"{connections} connection{'s' * (connections > 1)}"
    reference = "nginx before the same worker"
    return [
        Comparison(f"gateway CPU per warm request, {connections_text}", f"{reference}, CPU", *cpu, goal=GOAL),
        Comparison(
            f"warm round trip, {connections_text}, p50", reference, ours.round_trips(0.5), theirs.round_trips(0.5)
        ),
        Comparison(
            f"warm round trip, {connections_text}, p99", reference, ours.round_trips(0.99), theirs.round_trips(0.99)
        ),
    ]


def encode_invocation(domain: str) -> bytes:
    """Return the request that a worker receives for a plain GET, for a server that does not encode it itself."""
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
