"""A platform of the benchmark's own: temporary folder, free ports, stopped at the end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["FNKIT", "LocalPlatform", "local_platform"]

FNKIT = str(Path(sys.executable).with_name("fnkit"))

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class LocalPlatform:
    """A running platform, and the command that talks to it. ``facts`` is what ``platform start`` answered."""

    environment: Mapping[str, str]
    facts: Mapping[str, Any]

    def fnkit(self, *arguments: str, folder: Path) -> dict[str, Any]:
        """Run a command and return its JSON answer."""
        return _fnkit(self.environment, folder, *arguments)

    def advance(self, seconds: float) -> None:
        """Move the platform's manual clock."""
        request = urllib.request.Request(  # noqa: S310 - the platform's own address
            f"{self.facts['api_url']}/fnkit/v1/clock",
            data=json.dumps({"advance": seconds}).encode(),
            headers={"X-Auth-Token": self.facts["secret_key"], "Content-Type": "application/json"},
        )
        _direct.open(request, timeout=60).close()


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
