"""A real platform for tests, started and stopped by the real command, and HTTP requests to it."""

from __future__ import annotations

import http.client
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from fnkit.contract.limits import REGIONS
from tests.support.command import Command
from tests.support.engine_under_test import engine_under_test
from tests.support.http_response import HttpResponse
from tests.support.waiting import wait_until

__all__ = ["PlatformUnderTest", "api_get", "call_function", "running_platform"]


@dataclass(frozen=True, slots=True)
class PlatformUnderTest:
    """The URLs and keys of a running platform, and ``fnkit`` whose ``--local`` is this platform."""

    home: Path
    api_url: str
    gateway_url: str
    secret_key: str
    access_key: str
    project_id: str
    pid: int

    @property
    def environment(self) -> dict[str, str]:
        """Variables that make Scaleway's tools, and ``fnkit`` without ``--local``, use this platform."""
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
        """``fnkit`` with this platform's home directory."""
        return Command({"FNKIT_HOME": str(self.home)})

    def advance(self, seconds: float) -> None:
        """Advance a manual clock; return when every task that became due has started."""
        request = urllib.request.Request(
            f"{self.api_url}/fnkit/v1/clock",
            data=json.dumps({"advance": seconds}).encode(),
            headers={"X-Auth-Token": self.secret_key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            answer.read()

    def delete_namespaces(self) -> None:
        """Delete every namespace with all that is in it; return when none is left."""
        for region in REGIONS:
            wait_until(partial(self._has_no_namespaces, region), what="the end of the namespaces")

    def _has_no_namespaces(self, region: str) -> bool:
        """Ask for the deletion of the namespaces of one page; return whether there were none."""
        found = self.send("GET", f"regions/{region}/namespaces?page_size=100")["namespaces"]
        assert isinstance(found, list)
        for namespace in found:
            if namespace["status"] != "deleting":
                self.send("DELETE", f"regions/{region}/namespaces/{namespace['id']}")
        return not found

    def send(self, method: str, path: str) -> dict[str, object]:
        """Send a request to the API with the platform's key, and return the JSON object of the answer."""
        request = urllib.request.Request(
            f"{self.api_url}/functions/v1beta1/{path}", method=method, headers={"X-Auth-Token": self.secret_key}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            document = json.load(answer)
        assert isinstance(document, dict)
        return document


@contextmanager
def running_platform(home: Path, *options: str) -> Iterator[PlatformUnderTest]:
    """Run a platform in ``home`` on free ports."""
    fnkit = Command({"FNKIT_HOME": str(home)})
    with engine_under_test().platform_options() as engine_options:
        try:
            started = fnkit(
                *("platform", "start", "--detach", "--json", "--gateway-port", "0"), *engine_options, *options
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


def call_function(
    platform: PlatformUnderTest,
    domain: str,
    path: str = "/",
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """Send a request to a function through the gateway; ``domain`` becomes the Host header."""
    gateway = urlsplit(platform.gateway_url)
    connection = http.client.HTTPConnection(gateway.hostname or "", gateway.port, timeout=60)
    try:
        connection.request(method, path, body=body, headers={"Host": domain, **(headers or {})})
        answer = connection.getresponse()
        return HttpResponse(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def api_get(platform: PlatformUnderTest, path: str) -> dict[str, object]:
    """GET a path of the fr-par API with the platform's key, and return the JSON object."""
    return platform.send("GET", f"regions/fr-par/{path}")
