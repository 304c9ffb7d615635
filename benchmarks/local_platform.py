"""A platform of the benchmark's own: temporary folder, free ports, stopped at the end."""

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

from benchmarks.load import call

__all__ = ["FNKIT", "HELLO", "LocalPlatform", "local_platform", "request_for", "sleeping", "written_project"]

FNKIT = str(Path(sys.executable).with_name("fnkit"))

HELLO = """from fnkit import function


@function(memory=128)
def hello(event, context):
    return "hello"
"""
"""The handler that does nothing: what is measured is everything around it."""

_ASLEEP_SECONDS = 1000
"""Past the 15 minutes after which the last instance goes."""
_REST_SECONDS = 0.3

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class LocalPlatform:
    """A running platform, and the command that talks to it. ``facts`` is what ``platform start`` answered."""

    environment: Mapping[str, str]
    facts: Mapping[str, Any]

    def fnkit(self, *arguments: str, folder: Path) -> dict[str, Any]:
        """Run a command and return its JSON answer."""
        return _fnkit(self.environment, folder, *arguments)

    def deployed(self, project: Path) -> list[str]:
        """Deploy a project; return its functions' domains."""
        answer = self.fnkit("deploy", "--local", "--yes", folder=project)
        return [str(function["domain"]) for function in answer["functions"]]

    def call(self, domain: str) -> float:
        """Seconds from connecting to the whole answer."""
        return call(self.gateway, request_for(domain))

    @property
    def gateway(self) -> tuple[str, int]:
        """The gateway's public address."""
        parts = urlsplit(self.facts["gateway_url"])
        return str(parts.hostname), int(parts.port or 80)

    @property
    def private_socket(self) -> Path:
        """The gateway's private door, which skips the token check and nothing else."""
        run = json.loads((Path(self.facts["data_dir"]) / "run.json").read_text(encoding="utf-8"))
        return Path(run["socket_folder"]) / "gateway.sock"

    @property
    def data_plane(self) -> int:
        """The pid of the gateway and engine's process."""
        pid: int = self.facts["processes"]["data_plane"]
        return pid

    def advance(self, seconds: float) -> None:
        """Move the platform's manual clock."""
        request = urllib.request.Request(  # noqa: S310 - the platform's own address
            f"{self.facts['api_url']}/fnkit/v1/clock",
            data=json.dumps({"advance": seconds}).encode(),
            headers={"X-Auth-Token": self.facts["secret_key"], "Content-Type": "application/json"},
        )
        _direct.open(request, timeout=60).close()


def request_for(domain: str) -> bytes:
    """Return a plain GET of a function."""
    return f"GET / HTTP/1.1\r\nHost: {domain}\r\n\r\n".encode()


def sleeping(platform: LocalPlatform, domain: str, rest: float = _REST_SECONDS) -> float:
    """Let everything scale to zero and come to rest; then seconds to one function's first answer."""
    platform.advance(_ASLEEP_SECONDS)
    time.sleep(rest)
    return platform.call(domain)


def written_project(folder: Path, handlers: str, settings: str = 'name = "bench"\n') -> Path:
    """Write a project of one module, ``main.py``."""
    folder.mkdir()
    (folder / "fnkit.toml").write_text(settings, encoding="utf-8")
    (folder / "main.py").write_text(handlers, encoding="utf-8")
    return folder


@contextmanager
def local_platform(folder: Path, *options: str) -> Iterator[LocalPlatform]:
    """Start a platform with its data in ``folder``."""
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
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout} {done.stderr}")
    answer: dict[str, Any] = json.loads(done.stdout) if done.stdout.strip() else {}
    return answer
