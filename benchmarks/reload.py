"""Seconds from saving a file to the first response of the new code: ``fnkit dev``, granian and uvicorn.

All of them run at the same time, and each round saves one file of each in turn. granian and uvicorn serve an ASGI
application that does the same as the handler, with ``--reload``. The heavy project imports boto3 and pydantic.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.environments import create_environment
from benchmarks.local_platform import FNKIT
from benchmarks.measurement import BenchmarkSkipped, Comparison, Figure, Missing, Result
from benchmarks.servers import Server, running_server

__all__ = ["run"]

_SAVES = 20
_TIMEOUT = 60.0
_POLL_SECONDS = 0.0005
_PAUSE_SECONDS = 0.3
"""Between two saves: longer than every server groups changes for, so that each save is one of its own."""

_GOALS = {"plain": 0.030, "boto3 and pydantic": 0.150}
_PACKAGES = {"plain": (), "boto3 and pydantic": ("boto3", "pydantic")}
_PEERS = ("granian[reload]", "uvicorn", "watchfiles")
_VERSION = re.compile(r"version \d+")
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

_HANDLER = """{imports}from fnkit import function


@function
def hello(event, context):
    return "version 0"
"""
_APPLICATION = """{imports}async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        return
    body = b"version 0"
    head = [(b"content-length", str(len(body)).encode())]
    await send({{"type": "http.response.start", "status": 200, "headers": head}})
    await send({{"type": "http.response.body", "body": body}})
"""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A server that reloads.

    Attributes:
        name: What a table calls it.
        file: The file to save.
        url: Where it answers.
    """

    name: str
    file: Path
    url: str


def run(rounds: int, folder: Path) -> list[Result]:
    """Measure the plain project, then the one with packages; at least twenty saves each."""
    results: list[Result] = []
    for project, packages in _PACKAGES.items():
        results += _measure_project(project, packages, max(_SAVES, rounds), folder / project.split()[0])
    return results


def _measure_project(project: str, packages: tuple[str, ...], saves: int, folder: Path) -> list[Result]:
    imports = "".join(f"import {name}\n" for name in packages)
    with ExitStack() as stack:
        candidates = [stack.enter_context(_fnkit(folder / "fnkit", imports, packages))]
        missing: list[Result] = []
        try:
            programs = create_environment(*_PEERS, *packages)
        except BenchmarkSkipped as reason:
            missing = [Missing(f"reload, {project}: granian and uvicorn", str(reason))]
        else:
            candidates += [stack.enter_context(one) for one in _peers(programs, folder, imports)]
        seconds = _measure(candidates, saves)
    ours, *others = candidates
    goal = _GOALS[project]
    results: list[Result] = [
        Comparison(
            f"reload, {project}: {ours.name}", one.name, seconds[ours.name], seconds[one.name], goal_seconds=goal
        )
        for one in others
    ]
    fastest = sorted(seconds[ours.name])
    return [*results, Figure(f"reload, {project}: {ours.name}, median", fastest[saves // 2] * 1000, "ms"), *missing]


def _measure(candidates: list[_Candidate], saves: int) -> dict[str, tuple[float, ...]]:
    seconds: dict[str, list[float]] = {one.name: [] for one in candidates}
    for number in range(1, saves + 2):
        for one in candidates if number % 2 else reversed(candidates):
            taken = _save_and_wait(one, number)
            if number > 1:  # the first one finds cold caches
                seconds[one.name].append(taken)
    return {name: tuple(values) for name, values in seconds.items()}


def _save_and_wait(candidate: _Candidate, number: int) -> float:
    """Save a new version, and return the seconds until it answers."""
    time.sleep(_PAUSE_SECONDS)
    version = f"version {number}"
    text = _VERSION.sub(version, candidate.file.read_text())
    started = time.perf_counter()
    candidate.file.write_text(text)
    while time.perf_counter() - started < _TIMEOUT:
        try:
            with _direct.open(candidate.url, timeout=_TIMEOUT) as answer:
                if version in answer.read().decode():
                    return time.perf_counter() - started
        except (OSError, urllib.error.URLError):
            pass  # a server that restarts refuses connections, or closes them
        time.sleep(_POLL_SECONDS)
    raise BenchmarkSkipped(f"{candidate.name} did not reload")


@contextmanager
def _fnkit(folder: Path, imports: str, packages: tuple[str, ...]) -> Iterator[_Candidate]:
    folder.mkdir(parents=True)
    runtime = f"python{sys.version_info[0]}{sys.version_info[1]}"
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "reload"\nversion = "1"\nrequires-python = ">=3.11"\n'
        f"dependencies = {json.dumps(packages)}\n"
        f'[tool.fnkit.defaults]\nruntime = "{runtime}"\n'
    )
    file = folder / "main.py"
    file.write_text(_HANDLER.format(imports=imports))
    with tempfile.TemporaryDirectory(prefix="fnkit-home-") as home:
        process = subprocess.Popen(
            [FNKIT, "dev", "--json"],
            cwd=folder,
            env={**os.environ, "FNKIT_HOME": home, "FNKIT_CACHE": f"{home}/cache"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            serving = _first_item(process, "serving")
            url = str(serving["functions"][0]["path_url"])
            urlsplit(url)
            threading.Thread(target=_drain, args=(process,), daemon=True).start()
            _warm_up(url)
            yield _Candidate("fnkit dev", file, url)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def _first_item(process: subprocess.Popen[str], kind: str) -> dict[str, Any]:
    for line in process.stdout or ():
        item: dict[str, Any] = json.loads(line)
        if item.get("kind") == kind:
            return item
    raise BenchmarkSkipped("fnkit dev ended")


def _drain(process: subprocess.Popen[str]) -> None:
    for _line in process.stdout or ():
        pass


def _warm_up(url: str) -> None:
    """Send a request, and let what was slow to import be imported ahead, which takes seconds after a start."""
    with _direct.open(url, timeout=_TIMEOUT) as answer:
        answer.read()
    time.sleep(3)


def _peers(programs: Path, folder: Path, imports: str) -> Iterator[Any]:
    for name in ("granian", "uvicorn"):
        directory = folder / name
        directory.mkdir(parents=True)
        (directory / "main.py").write_text(_APPLICATION.format(imports=imports))
        interface = ["--interface", "asgi"] if name == "granian" else []
        command = [str(programs / name), *interface, "--reload", "--port", "{port}", "main:app"]
        yield _peer(Server(f"{name} --reload", directory, command))


@contextmanager
def _peer(server: Server) -> Iterator[_Candidate]:
    with running_server(server) as (host, port):
        yield _Candidate(server.name, server.folder / "main.py", f"http://{host}:{port}/")
