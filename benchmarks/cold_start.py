"""A function's first answer from zero instances, against a fresh ``python -m http.server``'s first answer."""

from __future__ import annotations

import http.client
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.http_server import answered_after
from benchmarks.local_platform import local_platform
from benchmarks.measuring import Comparison, in_turns, seconds

__all__ = ["run"]

IDLE_SECONDS = 1000
"""Past the 15 minutes after which the last instance goes."""


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Request in, answer out. Between two rounds the platform's clock moves until the function sleeps."""
    project = folder / "project"
    project.mkdir()
    (project / "fnkit.toml").write_text('name = "cold"\n', encoding="utf-8")
    (project / "main.py").write_text(
        'from fnkit import function\n\n\n@function(memory=128)\ndef hello(event, context):\n    return "hello"\n',
        encoding="utf-8",
    )
    with local_platform(folder / "platform", "--manual-clock") as platform:
        deployed = platform.fnkit("deploy", "--local", "--yes", folder=project)
        gateway = urlsplit(platform.facts["gateway_url"]).netloc
        domain = deployed["functions"][0]["domain"]

        def cold() -> float:
            platform.advance(IDLE_SECONDS)
            return seconds(lambda: _call(gateway, domain))

        figures = in_turns(rounds, cold, answered_after)
    return [Comparison("cold start of a Python function", "python -m http.server", *figures, goal=0.2)]


def _call(gateway: str, domain: str) -> None:
    connection = http.client.HTTPConnection(gateway, timeout=30)
    connection.request("GET", "/", headers={"Host": domain})
    answer = connection.getresponse()
    if (answer.status, answer.read()) != (200, b"hello"):
        raise RuntimeError(f"the function answered {answer.status}")
    connection.close()
