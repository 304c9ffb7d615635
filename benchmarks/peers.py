"""Compares fnkit with other local servers for such handlers, from PyPI: throughput and first response.

The local server of scaleway-functions-python is Flask's development server. Its documented call enables the
reloader; the row without it starts faster. functions-framework runs gunicorn, by default with one worker and four
threads per core; one worker per core is fastest on this machine, so both are measured. fnkit runs as ``fnkit
platform start`` starts it, with isolation.

The first response of a peer includes starting its process. fnkit's function has scaled to zero, and in the last row
the platform is not running either.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.environments import create_environment
from benchmarks.load import Address, generate_load
from benchmarks.local_platform import (
    HELLO_HANDLER,
    LocalPlatform,
    build_request,
    local_platform,
    measure_cold_start,
    write_project,
)
from benchmarks.measurement import Comparison, elapsed_seconds, measure_alternately
from benchmarks.servers import REQUEST, Server, measure_first_response, running_server

__all__ = ["run"]

CONNECTIONS = 16
SECONDS = 2.0

_SCALEWAY = """
import sys
from scaleway_functions_python import local

def hello(event, context):
    return "hello"

if __name__ == "__main__":
    local.serve_handler(hello, port=int(sys.argv[1]), debug=sys.argv[2] == "debug")
"""

_FRAMEWORK = """
import functions_framework

@functions_framework.http
def hello(request):
    return "hello"
"""


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure seconds per request under load, then first responses."""
    project = write_project(folder / "project", HELLO_HANDLER)
    peers = list(_peers(folder))
    comparisons = []
    with local_platform(folder / "platform", "--manual-clock") as platform:
        domain = platform.deploy(project)[0]
        for server, throughput, _ in peers:
            comparisons.append(_compare_throughput(rounds, platform, domain, server, throughput))
        for server, _, cold in peers:
            ours = partial(measure_cold_start, platform, domain)
            figures = measure_alternately(rounds, ours, partial(measure_first_response, server))
            comparisons.append(
                Comparison("first answer, scaled to zero", f"starting {server.name}", *figures, goal=cold)
            )
    comparisons.append(_compare_platform_start(rounds, folder / "platform", domain, peers[2][0]))
    return comparisons


def _peers(folder: Path) -> Iterator[tuple[Server, float | None, float | None]]:
    """Yield each server with the goals for throughput and first response."""
    scaleway = create_environment("scaleway-functions-python==0.2.3") / "python"
    framework = create_environment("functions-framework==3.10.2") / "functions-framework"
    directory = folder / "peers"
    directory.mkdir()
    (directory / "scw.py").write_text(_SCALEWAY, encoding="utf-8")
    (directory / "framework.py").write_text(_FRAMEWORK, encoding="utf-8")
    local = [str(scaleway), "scw.py", "{port}"]
    name = "scaleway-functions-python"
    yield Server(name, directory, [*local, "debug"]), 1 / 8, 1 / 50
    yield Server(f"{name}, debug=False", directory, [*local, "plain"]), 1 / 8, None
    command = [str(framework), "--source=framework.py", "--target=hello", "--host=127.0.0.1", "--port={port}"]
    yield Server("functions-framework", directory, command), 1 / 3, 1 / 10
    cores = str(os.cpu_count())
    yield Server(f"functions-framework, WORKERS={cores}", directory, command, {"WORKERS": cores}), None, None


def _compare_throughput(
    rounds: int, platform: LocalPlatform, domain: str, server: Server, goal: float | None
) -> Comparison:
    def once(address: Address, request: bytes) -> float:
        return generate_load(address, request, connections=CONNECTIONS, seconds=SECONDS).seconds_per_request

    with ExitStack() as stack:
        theirs = partial(once, stack.enter_context(running_server(server)), REQUEST)
        ours = partial(once, platform.gateway, build_request(domain))
        ours(), theirs()  # start instances and threads
        figures = measure_alternately(rounds, ours, theirs)
    return Comparison(f"a request of {CONNECTIONS} at once", server.name, *figures, goal=goal)


def _compare_platform_start(rounds: int, directory: Path, domain: str, server: Server) -> Comparison:
    """Measure the first response of a deployed function, including the start of the platform."""

    def ours() -> float:
        with ExitStack() as stack:

            def start() -> None:
                platform = stack.enter_context(local_platform(directory))
                platform.call(domain)

            return elapsed_seconds(start)

    figures = measure_alternately(rounds, ours, partial(measure_first_response, server))
    return Comparison("platform started, first answer", f"starting {server.name}", *figures)
