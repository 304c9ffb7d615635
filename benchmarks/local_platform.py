"""A platform for a benchmark, with a temporary data directory and free ports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.load import timed_request

__all__ = [
    "FNKIT",
    "HELLO_HANDLER",
    "LocalPlatform",
    "build_request",
    "local_platform",
    "measure_cold_start",
    "write_project",
]

FNKIT = str(Path(sys.executable).with_name("fnkit"))

HELLO_HANDLER = """from fnkit import function


@function(memory=128)
def hello(event, context):
    return "hello"
"""
"""A handler that does nothing, so that a benchmark measures everything around it."""

_IDLE_SECONDS = 1000
"""More than the 15 minutes after which the last instance is terminated."""
_SETTLE_SECONDS = 0.3

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class LocalPlatform:
    """A running platform.

    Attributes:
        environment: The environment of ``fnkit`` commands.
        status: The JSON output of ``fnkit platform start``.
    """

    environment: Mapping[str, str]
    status: Mapping[str, Any]

    def fnkit(self, *arguments: str, folder: Path) -> dict[str, Any]:
        """Run a command in a folder and return its JSON output."""
        return _fnkit(self.environment, folder, *arguments)

    def deploy(self, project: Path) -> list[str]:
        """Deploy a project and return the domains of its functions."""
        answer = self.fnkit("deploy", "--local", "--yes", folder=project)
        return [str(function["domain"]) for function in answer["functions"]]

    def call(self, domain: str) -> float:
        """Return the seconds from connecting to the complete response of a function."""
        return timed_request(self.gateway, build_request(domain))

    @property
    def gateway(self) -> tuple[str, int]:
        """The gateway's public host and port."""
        parts = urlsplit(self.status["gateway_url"])
        return str(parts.hostname), int(parts.port or 80)

    @property
    def data_plane_pid(self) -> int:
        """The pid of the data plane."""
        pid: int = self.status["processes"]["data_plane"]
        return pid

    def advance(self, seconds: float) -> None:
        """Advance the platform's manual clock."""
        request = urllib.request.Request(  # noqa: S310 - the platform's own address
            f"{self.status['api_url']}/fnkit/v1/clock",
            data=json.dumps({"advance": seconds}).encode(),
            headers={"X-Auth-Token": self.status["secret_key"], "Content-Type": "application/json"},
        )
        _direct.open(request, timeout=60).close()


def build_request(domain: str) -> bytes:
    """Return a plain GET of a function."""
    return f"GET / HTTP/1.1\r\nHost: {domain}\r\n\r\n".encode()


def measure_cold_start(platform: LocalPlatform, domain: str, settle_seconds: float = _SETTLE_SECONDS) -> float:
    """Scale all functions to zero and return the seconds to the first response of one.

    Args:
        platform: A platform with a manual clock.
        domain: The domain of the function.
        settle_seconds: Real seconds to wait between scaling to zero and the request.
    """
    platform.advance(_IDLE_SECONDS)
    time.sleep(settle_seconds)
    return platform.call(domain)


def write_project(folder: Path, handlers: str, settings: str = 'name = "bench"\n') -> Path:
    """Write a project with the single module ``main.py``."""
    folder.mkdir()
    (folder / "fnkit.toml").write_text(settings, encoding="utf-8")
    (folder / "main.py").write_text(handlers, encoding="utf-8")
    return folder


@contextmanager
def local_platform(folder: Path, *options: str) -> Iterator[LocalPlatform]:
    """Run a platform with its data in ``folder``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCW_")}
    environment = {**inherited, "FNKIT_HOME": str(folder)}
    start = ("platform", "start", "--detach", "--api-port=0", "--gateway-port=0", *options)
    try:
        yield LocalPlatform(environment, _fnkit(environment, Path.cwd(), *start))
    finally:
        _fnkit(environment, Path.cwd(), "platform", "stop")


def _fnkit(environment: Mapping[str, str], folder: Path, *arguments: str) -> dict[str, Any]:
    command = [FNKIT, *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}: {done.stdout} {done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {}
    return answer
