"""Traces the journeys that ``docs/architecture.md`` describes, and writes them into the page.

Run with ``python -m tests.support.journeys --write``. Each journey is traced several times on a real platform, and
only functions that ran every time count, except those that run at intervals without any request: they are not on
the way, and on a slow machine they run during every repetition.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import http.client
import json
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.call_trace import CallTrace, TracedCall
from tests.support.command import Command
from tests.support.source_tree import REPOSITORY, modules
from tests.support.waiting import wait_until

__all__ = ["JOURNEYS", "Journey", "Step", "described_steps", "main", "traced_journeys"]

PAGE = REPOSITORY / "docs" / "architecture.md"
_REPETITIONS = 5
_IDLE_SECONDS = 0.5
_PROJECT = {
    "fnkit.toml": 'name = "journeys"\n',
    "main.py": (
        "from fnkit import function, trigger\n\n\n"
        "@function\ndef hello(event, context):\n    return 'hello'\n\n\n"
        "@trigger(nats='orders.created')\n@function\ndef on_order(event, context):\n    return ''\n"
    ),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One function on the way: ``path`` is relative to the repository."""

    path: str
    function: str


@dataclass(frozen=True, slots=True)
class Journey:
    """A journey of the page.

    Attributes:
        title: The heading on the page.
        files_max: The largest number of source files on the way.
    """

    title: str
    files_max: int


_LAST_WRITE = Step("fnkit/platform/data_plane/gateway/http_connection.py", "HttpConnection.write")

JOURNEYS = {
    "declaration": Journey("From a decorated handler to a live function", 44),
    "warm": Journey("A warm HTTP request", 18),
    "cold": Journey("A cold HTTP request", 36),
    "message": Journey("A NATS message to its acknowledgement", 28),
    "create": Journey("CreateFunction", 22),
}


def traced_journeys(directory: Path) -> dict[str, list[Step]]:
    """Run every journey on a real platform and return the functions on the way, in order of their first call.

    Args:
        directory: An empty directory for the platform, the project and the trace.
    """
    with _traced_platform(directory) as platform:
        return {
            "declaration": platform.declaration(),
            "warm": _until(_LAST_WRITE, platform.repeated(platform.request)),
            "cold": _until(_LAST_WRITE, platform.repeated(platform.cold_request)),
            "create": platform.repeated(platform.create_function),
            "message": platform.repeated(platform.message),
        }


@contextmanager
def _traced_platform(directory: Path) -> Iterator[_TracedPlatform]:
    for name in ("trace", "project"):
        (directory / name).mkdir()
    trace = CallTrace(directory / "trace")
    # What a deploy does depends on what the cache already has.
    own = {"FNKIT_HOME": str(directory / "home"), "FNKIT_CACHE": str(directory / "cache")}
    fnkit = Command({**own, **trace.environment})
    for name, text in _PROJECT.items():
        (directory / "project" / name).write_text(text, encoding="utf-8")
    ports = ("--api-port", "0", "--gateway-port", "0")
    started = fnkit("platform", "start", "--detach", "--json", "--manual-clock", *ports).ok().json()
    platform = _TracedPlatform(trace, fnkit, directory / "project", started)
    try:
        yield platform
    finally:
        platform.close()
        fnkit("platform", "stop").ok()


class _TracedPlatform:
    """A platform whose calls are recorded, with a deployed project."""

    def __init__(self, trace: CallTrace, fnkit: Command, project: Path, started: dict[str, object]) -> None:
        self._trace = trace
        self._fnkit = fnkit
        self._project = project
        self._api_url = str(started["api_url"])
        self._secret_key = str(started["secret_key"])
        self._nats_url = str(started["nats_url"])
        self._created = 0
        self._namespace_id = ""
        self._url = urlsplit("")
        self._connection: http.client.HTTPConnection | None = None
        self._trigger_is_durable = False

    def close(self) -> None:
        """Close the connection to the gateway."""
        if self._connection is not None:
            self._connection.close()

    def declaration(self) -> list[Step]:
        """Deploy the project.

        The journey leads from the scan to the first request that creates a function. The bundler, which makes the
        archives meanwhile, and the command line around it are left out.
        """
        start = time.monotonic()
        deployed = self._fnkit("deploy", "--local", "--json", "--yes", cwd=self._project).ok().json()
        self._namespace_id = deployed["namespace"]["id"]
        self._url = urlsplit(next(one["url"] for one in deployed["functions"] if one["name"] == "hello"))
        calls = self._trace.calls(start, time.monotonic())
        pid = next(call.pid for call in calls if call.path.startswith("fnkit/cli/"))
        steps = _steps(call for call in calls if call.pid == pid)
        first = steps.index(Step("fnkit/scanner/scan.py", "scan"))
        last = steps.index(Step("fnkit/deploy/create_functions.py", "_create_request"))
        elsewhere = ("fnkit/bundler/", "fnkit/cli/", "fnkit/platform/")
        return [step for step in steps[first : last + 1] if not step.path.startswith(elsewhere)]

    def request(self) -> tuple[float, float]:
        """Call a function whose instance is idle, on an open connection."""
        return self._timed(self._call)

    def cold_request(self) -> tuple[float, float]:
        """Call a function without instances."""
        self._advance(3600)
        wait_until(lambda: self._instance_count() == 0)
        return self.request()

    def create_function(self) -> tuple[float, float]:
        """Create a function through the API."""
        self._created += 1
        body = {"name": f"created{self._created}", "namespace_id": self._namespace_id, "runtime": "python311"}
        return self._timed(lambda: self._post("/functions/v1beta1/regions/fr-par/functions", body))

    def message(self) -> tuple[float, float]:
        """Publish a message to a stream that a trigger consumes, and wait until it is acknowledged."""
        return asyncio.run(self._publish())

    def repeated(self, run: Callable[[], tuple[float, float]]) -> list[Step]:
        """Return the steps that every repetition has, after one that is not counted."""
        run()
        periods = [run() for _ in range(_REPETITIONS)]
        runs = [_steps(self._trace.calls(*period)) for period in periods]
        common = set(runs[0]).intersection(*runs[1:]) - self._idle_steps()
        return [step for step in runs[0] if step in common]

    def _idle_steps(self) -> set[Step]:
        wait_until(self._trace.is_quiet)
        start = time.monotonic()
        time.sleep(_IDLE_SECONDS)
        return set(_steps(self._trace.calls(start, time.monotonic())))

    async def _publish(self) -> tuple[float, float]:
        import nats

        connection = await nats.connect(self._nats_url)
        try:
            stream = connection.jetstream()
            if not self._trigger_is_durable:
                await stream.add_stream(name="orders", subjects=["orders.>"])
                # Triggers look for a stream at intervals of the platform's clock.
                while not await stream.consumers_info("orders"):
                    self._advance(60)
                self._trigger_is_durable = True
            start = time.monotonic()
            published = await stream.publish("orders.created", b"{}")
            while True:
                [consumer] = await stream.consumers_info("orders")
                if consumer.ack_floor is not None and consumer.ack_floor.stream_seq >= published.seq:
                    return start, time.monotonic()
        finally:
            await connection.close()

    def _call(self) -> None:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=60)
        self._connection.request("GET", self._url.path or "/")
        response = self._connection.getresponse()
        assert (response.status, response.read()) == (200, b"hello")

    def _timed(self, act: Callable[[], object]) -> tuple[float, float]:
        # Work that follows an earlier response must not count as this journey's.
        wait_until(self._trace.is_quiet)
        start = time.monotonic()
        act()
        return start, time.monotonic()

    def _advance(self, seconds: float) -> None:
        self._post("/fnkit/v1/clock", {"advance": seconds})

    def _instance_count(self) -> int:
        request = urllib.request.Request(f"{self._api_url}/metrics", headers={"X-Auth-Token": self._secret_key})
        with urllib.request.urlopen(request, timeout=60) as response:
            text = response.read().decode()
        rows = re.findall(r'^fnkit_function_instances\{[^}]*function="hello"[^}]*\} (\d+)', text, re.MULTILINE)
        return sum(map(int, rows))

    def _post(self, path: str, body: object) -> None:
        headers = {"X-Auth-Token": self._secret_key, "Content-Type": "application/json"}
        request = urllib.request.Request(self._api_url + path, json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            response.read()


def _until(last: Step, steps: list[Step]) -> list[Step]:
    """Return the steps up to the last one of the journey; what follows is bookkeeping for later requests."""
    return steps[: steps.index(last) + 1]


def _steps(calls: Iterator[TracedCall] | list[TracedCall]) -> list[Step]:
    """Return the called functions in order of their first call. A nested function counts as the one around it."""
    named = (call for call in calls if not call.function.startswith("<"))
    return list(dict.fromkeys(Step(call.path, call.function.split(".<locals>")[0]) for call in named))


def described_steps(text: str) -> dict[str, list[Step]]:
    """Return the steps that the page describes, by journey."""
    found = {}
    for name in JOURNEYS:
        section = re.search(rf"<!-- journey: {name} -->\n(.*?)<!-- end of journey -->", text, re.DOTALL)
        rows = re.findall(r"^\d+\. `(fnkit/[\w/.]+)` `([\w.]+)`", section[1] if section else "", re.MULTILINE)
        found[name] = [Step(*row) for row in rows]
    return found


def _summaries() -> dict[tuple[str, str], str]:
    """Return the first line of the docstring of every function, by path and qualified name."""
    found: dict[tuple[str, str], str] = {}

    def visit(path: str, node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                name = f"{prefix}{child.name}"
                found[path, name] = (ast.get_docstring(child) or "").split("\n", maxsplit=1)[0]
                visit(path, child, f"{name}.")
            else:
                visit(path, child, prefix)

    for module in modules():
        visit(module.path, module.tree, "")
    return found


def _rendered(steps: Sequence[Step]) -> str:
    summaries = _summaries()
    lines = []
    for number, step in enumerate(steps, 1):
        summary = summaries.get((step.path, step.function), "")
        if step.function.endswith("__init__"):
            summary = summaries.get((step.path, step.function.removesuffix(".__init__")), "")
        lines.append(f"{number}. `{step.path}` `{step.function}`" + (f": {summary}" if summary else ""))
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    """Print the journeys, or write them into the page."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.journeys")
    parser.add_argument("--write", action="store_true", help="write the journeys into docs/architecture.md")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fnkit-journeys-") as directory:
        journeys = traced_journeys(Path(directory))
    page = PAGE.read_text(encoding="utf-8")
    for name, steps in journeys.items():
        files = len({step.path for step in steps})
        print(f"{JOURNEYS[name].title}: {files} files, {len(steps)} functions")  # noqa: T201 - the output of a script
        block = f"<!-- journey: {name} -->\n{files} files.\n\n{_rendered(steps)}\n\n<!-- end of journey -->"
        pattern = rf"<!-- journey: {name} -->\n.*?<!-- end of journey -->"
        page = re.sub(pattern, block.replace("\\", r"\\"), page, flags=re.DOTALL)
    if options.write:
        PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
