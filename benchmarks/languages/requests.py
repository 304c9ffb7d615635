"""Compares cold starts and warm requests of functions with the servers that their users would start.

A cold start is a request to a function that has scaled to zero, with isolation on; the reference is the start of a
process until its first answer to the same request. The references of warm requests have no gateway, no isolation
and no rules of a runtime to follow.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from benchmarks.languages.deployed import CONNECTIONS, DeployedFunction
from benchmarks.languages.language import Language
from benchmarks.load import Address, generate_load
from benchmarks.local_platform import build_request, measure_cold_start
from benchmarks.measurement import Comparison, measure_alternately
from benchmarks.servers import REQUEST, Server, measure_first_response, running_server

__all__ = ["cold_start", "compare_cold_starts", "compare_warm_requests", "seconds_per_request", "warm_request"]

_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 0.5


def compare_cold_starts(rounds: int, language: Language, function: DeployedFunction, server: Server) -> Comparison:
    """Measure cold starts of a language."""
    ours, reference = partial(cold_start, function), partial(measure_first_response, server)
    ours(), reference()  # load files into the page cache
    figures = measure_alternately(rounds, ours, reference)
    return Comparison(f"cold start, {language.name}", f"starting {server.name}", *figures, goal=language.cold_goal)


def compare_warm_requests(
    rounds: int, language: Language, function: DeployedFunction, server: Server
) -> Comparison:
    """Measure requests under load."""
    with running_server(server) as address:
        ours, reference = partial(warm_request, function), partial(seconds_per_request, address, REQUEST)
        ours(), reference()  # start instances
        figures = measure_alternately(rounds, ours, reference)
    return Comparison(f"warm request, {language.name}", server.name, *figures)


def cold_start(function: DeployedFunction) -> float:
    """Return the seconds from a request to the answer of a function that has scaled to zero."""
    return measure_cold_start(function.platform, function.domain, _SETTLE_SECONDS)


def warm_request(function: DeployedFunction) -> float:
    """Return the seconds per request of a function under load."""
    return seconds_per_request(function.platform.gateway, build_request(function.domain))


def seconds_per_request(address: Address, request: bytes) -> float:
    """Return the inverse of a server's throughput with the benchmark's number of connections."""
    return generate_load(address, request, connections=CONNECTIONS, seconds=_SECONDS).seconds_per_request
