"""Compares cold starts with starting a Python process that answers one request over HTTP.

A cold start is a request to a function that has scaled to zero. Between rounds, the platform's clock advances past
the 15 minutes after which the last instance is terminated, and the platform gets a moment of real time to settle.
Isolation is on. The duration includes connecting, the request and the response.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.environments import create_environment
from benchmarks.http_server import time_to_first_response
from benchmarks.local_platform import HELLO_HANDLER, local_platform, measure_cold_start, write_project
from benchmarks.measurement import Comparison, measure_alternately
from benchmarks.servers import Server, measure_first_response

__all__ = ["run"]

PANDAS = ("pandas==3.1.1",)
CLIENT = ("requests==2.34.2", "pydantic==2.14.3")
PRELOAD_SECONDS = 5.0
"""Seconds after a deploy with heavy imports until its preloaded zygote is ready."""

_HANDLER = """
import {modules}
from fnkit import function


@function(memory=512)
def hello(event, context):
    return "hello"
"""

_SERVER = """
import sys
import {modules}
from http.server import BaseHTTPRequestHandler, HTTPServer


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")


HTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure an empty handler, one that imports pandas, and one that imports requests and pydantic."""
    pandas, client = create_environment(*PANDAS), create_environment(*CLIENT)
    with local_platform(folder / "platform", "--manual-clock") as platform:
        domain = platform.deploy(write_project(folder / "empty", HELLO_HANDLER))[0]
        ours = partial(measure_cold_start, platform, domain)
        ours()
        figures = measure_alternately(rounds, ours, time_to_first_response)
        comparisons = [Comparison("cold start, empty handler", "python -m http.server", *figures, goal=1 / 5)]
        for name, packages, programs, goal in (
            ("pandas", PANDAS, pandas, 1 / 10),
            ("requests, pydantic", CLIENT, client, None),
        ):
            project = _write_project(folder, name, packages)
            domain = platform.deploy(project)[0]
            ours = partial(measure_cold_start, platform, domain)
            measure_cold_start(platform, domain, settle_seconds=PRELOAD_SECONDS)
            reference = _reference(folder, name, programs)
            measure_first_response(reference)  # loads its bytecode into the page cache, where ours already is
            figures = measure_alternately(rounds, ours, partial(measure_first_response, reference))
            comparisons.append(
                Comparison(f"cold start, {name}", "fresh python importing the same", *figures, goal=goal)
            )
    return comparisons


def _write_project(folder: Path, modules: str, packages: tuple[str, ...]) -> Path:
    name = modules.replace(", ", "-")
    project = write_project(folder / name, _HANDLER.format(modules=modules), f'name = "{name}"\n')
    (project / "requirements.txt").write_text("\n".join(packages) + "\n", encoding="utf-8")
    return project


def _reference(folder: Path, modules: str, programs: Path) -> Server:
    file = folder / f"{modules.replace(', ', '_')}_server.py"
    file.write_text(_SERVER.format(modules=modules), encoding="utf-8")
    return Server(f"python importing {modules}", folder, [str(programs / "python"), file.name, "{port}"])
