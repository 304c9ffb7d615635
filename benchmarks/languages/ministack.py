"""Compares functions in Node with MiniStack, a local AWS from PyPI: the nearest peer that needs no Docker.

It runs a function as a process of Node without isolation, and is called by ``Invoke`` of the Lambda API, where
fnkit is called by plain HTTP through its gateway. There, functions in Go and Rust need Docker, so only Node is
compared.
"""

from __future__ import annotations

import base64
import http.client
import json
import time
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from benchmarks.environments import create_environment
from benchmarks.functions_client import make_archive
from benchmarks.languages.deployed import DeployedFunction
from benchmarks.languages.language import HELLO
from benchmarks.languages.node import NODE, make_handler
from benchmarks.languages.redeploys import next_answer, redeploy
from benchmarks.languages.requests import cold_start, seconds_per_request, warm_request
from benchmarks.load import timed_request
from benchmarks.measurement import Comparison, elapsed_seconds, measure_alternately
from benchmarks.servers import Server, running_server

__all__ = ["compare_with_ministack"]

_VERSION: Final = "1.5.33"
_FUNCTIONS: Final = "/2015-03-31/functions"
_HEALTH: Final = b"GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\n\r\n"
_NAME: Final = f"MiniStack {_VERSION}"
_numbers = count(1)


def compare_with_ministack(rounds: int, function: DeployedFunction, folder: Path) -> list[Comparison]:
    """Measure first calls, the first answer after an edit, and warm requests.

    Raises:
        BenchmarkSkipped: It cannot be installed.
    """
    program = create_environment(f"ministack=={_VERSION}") / "ministack"
    with running_server(_server(program, folder)) as address:
        peer = _Ministack(address)
        peer.create("hello")
        pairs = (
            ("first call", partial(cold_start, function), peer.call_new_function),
            ("after an edit", partial(_send_and_call, function), partial(peer.replace, "hello")),
            (
                "warm request",
                partial(warm_request, function),
                partial(seconds_per_request, address, _invoke("hello")),
            ),
        )
        comparisons = []
        for what, ours, theirs in pairs:
            ours(), theirs()  # start what stays
            comparisons.append(Comparison(f"{what}, node", _NAME, *measure_alternately(rounds, ours, theirs)))
    return comparisons


def _server(program: Path, folder: Path) -> Server:
    folder.mkdir()
    variables = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": "{port}",
        "HOME": str(folder),
        "LOG_LEVEL": "WARNING",
        "SERVICES": "lambda",
        "TMPDIR": str(folder),
    }
    return Server(_NAME, folder, [str(program)], variables, _HEALTH)


def _send_and_call(function: DeployedFunction) -> float:
    """Return the seconds from sending a new version to its first answer: MiniStack deploys what it receives."""
    return elapsed_seconds(partial(redeploy, NODE, function))


def _invoke(name: str) -> bytes:
    head = f"POST {_FUNCTIONS}/{name}/invocations HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n"
    return f"{head}{{}}".encode()


@dataclass(frozen=True, slots=True)
class _Ministack:
    """A running MiniStack."""

    address: tuple[str, int]

    def create(self, name: str) -> None:
        """Create a function that answers ``hello``."""
        settings = {
            "FunctionName": name,
            "Runtime": "nodejs22.x",
            "Role": "arn:aws:iam::000000000000:role/benchmark",
            "Handler": NODE.handler,
            "MemorySize": 256,
            "Code": {"ZipFile": _encode(HELLO)},
        }
        self._request("POST", _FUNCTIONS, settings)

    def call_new_function(self) -> float:
        """Return the seconds from a request to the answer of a function that has not been called before."""
        name = f"new-{next(_numbers)}"
        self.create(name)
        return timed_request(self.address, _invoke(name))

    def replace(self, name: str) -> float:
        """Return the seconds from sending a new version of a function to its first answer."""
        answer = next_answer()
        started = time.perf_counter()
        self._request("PUT", f"{_FUNCTIONS}/{name}/code", {"ZipFile": _encode(answer)})
        while answer not in self._request("POST", f"{_FUNCTIONS}/{name}/invocations", {}):
            pass
        return time.perf_counter() - started

    def _request(self, method: str, path: str, body: object) -> str:
        """Send a request and return the body of the response.

        Raises:
            RuntimeError: The status is none of success.
        """
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        connection.request(method, path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        if response.status >= http.HTTPStatus.BAD_REQUEST:
            raise RuntimeError(f"{_NAME}: {method} {path} returned {response.status}: {text}")
        return text


def _encode(answer: str) -> str:
    return base64.b64encode(make_archive(make_handler(answer))).decode()
