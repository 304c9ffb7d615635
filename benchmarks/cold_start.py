"""A first answer from zero instances, against fresh interpreters that answer one request over HTTP.

Cold is scaled to zero: between two rounds the platform's clock moves past the 15 minutes after which the last
instance goes, then a moment of real time passes in which the platform comes to rest. Isolation is on. What is timed
is all that a client sees: connection, request, answer.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.environments import environment
from benchmarks.http_server import answered_after
from benchmarks.local_platform import HELLO, local_platform, sleeping, written_project
from benchmarks.measuring import Comparison, in_turns
from benchmarks.servers import Server, first_answer

__all__ = ["run"]

PANDAS = ("pandas==3.1.1",)
CLIENT = ("requests==2.34.2", "pydantic==2.14.3")
SETTLED = 5.0
"""Seconds after a deploy with heavy imports: what is prepared for its next start is prepared by then."""

_IMPORTING = """
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
    """An empty handler, one that imports pandas, and one that imports requests and pydantic."""
    pandas, client = environment(*PANDAS), environment(*CLIENT)
    with local_platform(folder / "platform", "--manual-clock") as platform:
        domain = platform.deployed(written_project(folder / "empty", HELLO))[0]
        ours = partial(sleeping, platform, domain)
        ours()
        figures = in_turns(rounds, ours, answered_after)
        found = [Comparison("cold start, empty handler", "python -m http.server", *figures, goal=1 / 5)]
        for name, packages, programs, goal in (
            ("pandas", PANDAS, pandas, 1 / 10),
            ("requests, pydantic", CLIENT, client, None),
        ):
            project = _project(folder, name, packages)
            domain = platform.deployed(project)[0]
            ours = partial(sleeping, platform, domain)
            sleeping(platform, domain, rest=SETTLED)
            reference = _reference(folder, name, programs)
            first_answer(reference)  # its bytecode is in the page cache, as ours is
            figures = in_turns(rounds, ours, partial(first_answer, reference))
            found.append(Comparison(f"cold start, {name}", "fresh python importing the same", *figures, goal=goal))
    return found


def _project(folder: Path, modules: str, packages: tuple[str, ...]) -> Path:
    name = modules.replace(", ", "-")
    project = written_project(folder / name, _IMPORTING.format(modules=modules), f'name = "{name}"\n')
    (project / "requirements.txt").write_text("\n".join(packages) + "\n", encoding="utf-8")
    return project


def _reference(folder: Path, modules: str, programs: Path) -> Server:
    file = folder / f"{modules.replace(', ', '_')}_server.py"
    file.write_text(_SERVER.format(modules=modules), encoding="utf-8")
    return Server(f"python importing {modules}", folder, [str(programs / "python"), file.name, "{port}"])
