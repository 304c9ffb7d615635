"""Compares functions in Node, PHP and Go with the servers that their users would start on this machine.

A cold start is a request to a function that has scaled to zero, with isolation on; the reference is the start of a
process until its first answer to the same request. The references of warm requests are the same servers. A language
whose programs are missing is left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.load import Address, generate_load
from benchmarks.local_platform import LocalPlatform, build_request, local_platform, measure_cold_start
from benchmarks.measurement import BenchmarkSkipped, Comparison, measure_alternately
from benchmarks.servers import REQUEST, Server, measure_first_response, running_server

__all__ = ["run"]

_CONNECTIONS: Final = 4
_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 0.5

_NODE_HANDLER: Final = "exports.handle = (event) => ({ statusCode: 200, body: 'hello' });\n"
_NODE_SERVER: Final = """require("node:http")
  .createServer((request, response) => response.end("hello"))
  .listen(Number(process.argv[2]), "127.0.0.1");
"""
_PHP_HANDLER: Final = (
    "<?php\nfunction handle($event, $context) { return ['statusCode' => 200, 'body' => 'hello']; }\n"
)
_PHP_SERVER: Final = "<?php\nheader('Content-Length: 5');\necho 'hello';\n"
_GO_MODULE: Final = "module example.com/hello\n\ngo 1.24\n"
_GO_HANDLER: Final = """package hello

import "net/http"

func Handle(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) }
"""
_GO_SERVER: Final = """package main

import (
\t"net/http"
\t"os"
)

func main() {
\thttp.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("hello")) })
\thttp.ListenAndServe("127.0.0.1:"+os.Args[1], nil)
}
"""


@dataclass(frozen=True, slots=True)
class _Case:
    """A language.

    Attributes:
        name: The name of its function.
        runtime: The runtime.
        handler: The handler.
        files: The function, by path.
        server: Returns the reference.
        cold_goal: What a cold start may take of the start of the reference.
    """

    name: str
    runtime: str
    handler: str
    files: dict[str, str]
    server: Callable[[Path], Server]
    cold_goal: float


def run(rounds: int, folder: Path) -> list[Comparison]:
    """Measure cold starts and warm requests."""
    cases = list(_cases())
    if not cases:
        raise BenchmarkSkipped("neither node, nor php, nor go is on PATH")
    comparisons = []
    with local_platform(folder / "platform", "--manual-clock") as platform:
        domains = _deploy(platform, folder / "project", cases)
        for case in cases:
            server = case.server(folder)
            domain = domains[case.name]
            cold = partial(measure_cold_start, platform, domain, _SETTLE_SECONDS)
            cold()
            measure_first_response(server)  # loads its files into the page cache, where ours already are
            figures = measure_alternately(rounds, cold, partial(measure_first_response, server))
            comparisons.append(
                Comparison(f"cold start, {case.name}", f"starting {server.name}", *figures, goal=case.cold_goal)
            )
        for case in cases:
            with running_server(case.server(folder)) as address:
                ours = partial(_seconds_per_request, platform.gateway, build_request(domains[case.name]))
                figures = measure_alternately(rounds, ours, partial(_seconds_per_request, address, REQUEST))
            comparisons.append(Comparison(f"warm request, {case.name}", case.server(folder).name, *figures))
    return comparisons


def _cases() -> Iterator[_Case]:
    if shutil.which("node"):
        files = {"handler.js": _NODE_HANDLER}
        yield _Case("node", "node24", "handler.handle", files, _node_server, cold_goal=1 / 5)
    if shutil.which("php"):
        files = {"handler.php": _PHP_HANDLER}
        yield _Case("php", "php84", "handler.handle", files, _php_server, cold_goal=1 / 3)
    if shutil.which("go"):
        files = {"go.mod": _GO_MODULE, "handler.go": _GO_HANDLER}
        yield _Case("go", "go126", "Handle", files, _go_server, cold_goal=2.0)


def _deploy(platform: LocalPlatform, project: Path, cases: list[_Case]) -> dict[str, str]:
    """Deploy a function of each language and return its domains by name."""
    tables = ['name = "bench"\n']
    for case in cases:
        for path, text in case.files.items():
            file = project / case.name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        tables.append(
            f'[[function]]\nname = "{case.name}"\npath = "{case.name}"\nruntime = "{case.runtime}"\n'
            f'handler = "{case.handler}"\nmemory = 256\nmax_scale = {_CONNECTIONS}\n'
        )
    (project / "fnkit.toml").write_text("\n".join(tables), encoding="utf-8")
    answer = platform.fnkit("deploy", "--local", "--yes", folder=project)
    return {str(one["name"]): str(one["domain"]) for one in answer["functions"]}


def _node_server(folder: Path) -> Server:
    (folder / "server.js").write_text(_NODE_SERVER, encoding="utf-8")
    return Server("a node http server", folder, ["node", "server.js", "{port}"])


def _php_server(folder: Path) -> Server:
    root = folder / "php"
    root.mkdir(exist_ok=True)
    (root / "index.php").write_text(_PHP_SERVER, encoding="utf-8")
    return Server("php -S", root, ["php", "-S", "127.0.0.1:{port}"])


def _go_server(folder: Path) -> Server:
    root = folder / "go"
    if not (root / "server").exists():
        root.mkdir(exist_ok=True)
        (root / "go.mod").write_text(_GO_MODULE, encoding="utf-8")
        (root / "main.go").write_text(_GO_SERVER, encoding="utf-8")
        subprocess.run(["go", "build", "-o", "server", "."], cwd=root, env={**os.environ}, check=True)
    return Server("the same program in Go, bare", root, ["./server", "{port}"])


def _seconds_per_request(address: Address, request: bytes) -> float:
    return generate_load(address, request, connections=_CONNECTIONS, seconds=_SECONDS).seconds_per_request
