"""The other local servers for such handlers, from PyPI: the same handler, sixteen connections, and from nothing.

scaleway-functions-python's local server is Flask's development server; its call as its page shows it turns the
reloader on, the row without it is its faster start. functions-framework runs gunicorn: by default one worker with
four threads a core, and best on this machine with a worker a core, so both are measured. Ours is the platform as
``fnkit platform start`` starts it, isolation and all.

A first answer from nothing: theirs, their process is started; ours, the function has scaled to zero, and in the
last row not even the platform runs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.environments import environment
from benchmarks.load import Address, generate
from benchmarks.local_platform import HELLO, LocalPlatform, local_platform, request_for, sleeping, written_project
from benchmarks.measuring import Comparison, in_turns, seconds
from benchmarks.servers import REQUEST, Server, first_answer, serving

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
    """Throughput as seconds per request, then first answers."""
    project = written_project(folder / "project", HELLO)
    peers = list(_peers(folder))
    found = []
    with local_platform(folder / "platform", "--manual-clock") as platform:
        domain = platform.deployed(project)[0]
        for server, throughput, _ in peers:
            found.append(_throughput(rounds, platform, domain, server, throughput))
        for server, _, cold in peers:
            ours = partial(sleeping, platform, domain)
            figures = in_turns(rounds, ours, partial(first_answer, server))
            found.append(Comparison("first answer, scaled to zero", f"starting {server.name}", *figures, goal=cold))
    found.append(_whole_start(rounds, folder / "platform", domain, peers[2][0]))
    return found


def _peers(folder: Path) -> Iterator[tuple[Server, float | None, float | None]]:
    """Server, and the goals for throughput and first answer."""
    scaleway = environment("scaleway-functions-python==0.2.3") / "python"
    framework = environment("functions-framework==3.10.2") / "functions-framework"
    home = folder / "peers"
    home.mkdir()
    (home / "scw.py").write_text(_SCALEWAY, encoding="utf-8")
    (home / "framework.py").write_text(_FRAMEWORK, encoding="utf-8")
    local = [str(scaleway), "scw.py", "{port}"]
    name = "scaleway-functions-python"
    yield Server(name, home, [*local, "debug"]), 1 / 8, 1 / 50
    yield Server(f"{name}, debug=False", home, [*local, "plain"]), 1 / 8, None
    served = [str(framework), "--source=framework.py", "--target=hello", "--host=127.0.0.1", "--port={port}"]
    yield Server("functions-framework", home, served), 1 / 3, 1 / 10
    cores = str(os.cpu_count())
    yield Server(f"functions-framework, WORKERS={cores}", home, served, {"WORKERS": cores}), None, None


def _throughput(
    rounds: int, platform: LocalPlatform, domain: str, server: Server, goal: float | None
) -> Comparison:
    def once(address: Address, request: bytes) -> float:
        return generate(address, request, connections=CONNECTIONS, seconds=SECONDS).seconds_each

    with ExitStack() as stack:
        theirs = partial(once, stack.enter_context(serving(server)), REQUEST)
        ours = partial(once, platform.gateway, request_for(domain))
        ours(), theirs()  # instances and threads are there, connections have been made
        figures = in_turns(rounds, ours, theirs)
    return Comparison(f"a request of {CONNECTIONS} at once", server.name, *figures, goal=goal)


def _whole_start(rounds: int, home: Path, domain: str, server: Server) -> Comparison:
    """The platform that has this function deployed is started anew each time."""

    def ours() -> float:
        with ExitStack() as stack:

            def start() -> None:
                platform = stack.enter_context(local_platform(home))
                platform.call(domain)

            return seconds(start)

    figures = in_turns(rounds, ours, partial(first_answer, server))
    return Comparison("platform started, first answer", f"starting {server.name}", *figures)
