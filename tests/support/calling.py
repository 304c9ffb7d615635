"""Calls deployed functions over real sockets, and the API as a stranger would."""

from __future__ import annotations

import http.client
import json
import urllib.request
from urllib.parse import urlsplit

from tests.support.platform import PlatformUnderTest

__all__ = ["Reply", "ask_api", "call_function"]


class Reply:
    """What came back."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> object:
        return json.loads(self.body)


def call_function(
    platform: PlatformUnderTest,
    domain: str,
    path: str = "/",
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Reply:
    """Call a function by its name through the gateway."""
    gateway = urlsplit(platform.gateway_url)
    connection = http.client.HTTPConnection(gateway.hostname or "", gateway.port, timeout=60)
    try:
        connection.request(method, path, body=body, headers={"Host": domain, **(headers or {})})
        answer = connection.getresponse()
        return Reply(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def ask_api(platform: PlatformUnderTest, path: str) -> dict[str, object]:
    """GET a path under fr-par with the platform's key."""
    request = urllib.request.Request(
        f"{platform.api_url}/functions/v1beta1/regions/fr-par/{path}",
        headers={"X-Auth-Token": platform.secret_key},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        document = json.load(answer)
    assert isinstance(document, dict)
    return document
