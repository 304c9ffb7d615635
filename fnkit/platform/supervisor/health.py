"""Queries of the running platform: ``GET /healthz`` and ``GET /fnkit/v1/platform``.

No proxy of the environment applies, since the platform runs on this machine.
"""

from __future__ import annotations

import http.client
import json

import msgspec

from fnkit.contract.platform import PLATFORM_PATH, PlatformInfo


class HealthStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a health check.

    Attributes:
        is_ready: Whether control answered 200: it serves, and so does the data plane.
        isolation: The isolation level in force; empty until the data plane has connected.
    """

    is_ready: bool
    isolation: str = ""


def reachable_host(host: str) -> str:
    """Return the address at which this machine reaches a server that listens on ``host``."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104 - not bound here


def fetch_health(host: str, port: int, *, timeout: float = 2.0) -> HealthStatus:
    """Return the health of the platform at this address. Never raises."""
    status, body = _get_json(host, port, "/healthz", {}, timeout)
    isolation = body.get("isolation", "") if isinstance(body, dict) else ""
    return HealthStatus(
        is_ready=status == http.client.OK,
        isolation=isolation if isinstance(isolation, str) else "",
    )


def fetch_platform_info(host: str, port: int, secret_key: str, *, timeout: float = 2.0) -> PlatformInfo | None:
    """Return the description of the platform at this address; ``None`` without a valid response."""
    status, body = _get_json(host, port, PLATFORM_PATH, {"X-Auth-Token": secret_key}, timeout)
    if status != http.client.OK:
        return None
    try:
        return msgspec.convert(body, PlatformInfo)
    except msgspec.ValidationError:
        return None


def send_request(
    host: str, port: int, method: str, path: str, headers: dict[str, str], *, body: bytes | None, timeout: float
) -> tuple[int, bytes]:
    """Send a request to the platform at this address; return the status and the body of its response.

    Raises:
        OSError: The platform cannot be reached.
        http.client.HTTPException: The response is not HTTP.
    """
    connection = http.client.HTTPConnection(reachable_host(host), port, timeout=timeout)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _get_json(host: str, port: int, path: str, headers: dict[str, str], timeout: float) -> tuple[int, object]:
    try:
        status, content = send_request(host, port, "GET", path, headers, body=None, timeout=timeout)
    except (OSError, http.client.HTTPException):
        return 0, None
    try:
        return status, json.loads(content)
    except ValueError:
        return status, None
