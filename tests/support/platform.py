"""A real platform for tests, started and stopped by the real command."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import Command

__all__ = ["PlatformUnderTest", "running_platform"]


@dataclass(frozen=True, slots=True)
class PlatformUnderTest:
    """Where a platform answers and with which keys. ``command`` is ``fnkit`` whose ``--local`` means this one."""

    home: Path
    api_url: str
    gateway_url: str
    secret_key: str
    access_key: str
    project_id: str
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make any of Scaleway's tools, or the kit without ``--local``, talk to it."""
        return {
            "SCW_API_URL": self.api_url,
            "SCW_ACCESS_KEY": self.access_key,
            "SCW_SECRET_KEY": self.secret_key,
            "SCW_DEFAULT_PROJECT_ID": self.project_id,
            "SCW_DEFAULT_ORGANIZATION_ID": self.project_id,
            "SCW_DEFAULT_REGION": "fr-par",
        }

    @property
    def command(self) -> Command:
        """``fnkit`` in a shell where this platform is the user's."""
        return Command({"FNKIT_HOME": str(self.home)})

    def advance(self, seconds: float) -> None:
        """Move a manual clock; returns when every task that became due has started."""
        request = urllib.request.Request(
            f"{self.api_url}/fnkit/v1/clock",
            data=json.dumps({"advance": seconds}).encode(),
            headers={"X-Auth-Token": self.secret_key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()


@contextmanager
def running_platform(home: Path, *options: str) -> Iterator[PlatformUnderTest]:
    """Start a platform in ``home`` on free ports; stop it at the end, whatever happens."""
    fnkit = Command({"FNKIT_HOME": str(home)})
    try:
        started = fnkit(
            *("platform", "start", "--detach", "--json", "--api-port", "0", "--gateway-port", "0"), *options
        ).ok()
        found = started.json()
        yield PlatformUnderTest(
            home=home,
            api_url=str(found["api_url"]),
            gateway_url=str(found["gateway_url"]),
            secret_key=str(found["secret_key"]),
            access_key=str(found["access_key"]),
            project_id=str(found["project_id"]),
            pid=int(str(found["pid"])),
        )
    finally:
        fnkit("platform", "stop").ok()
