"""API keys of the running platform: ``/fnkit/v1/keys``, called with the platform's own key."""

from __future__ import annotations

import http.client
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from fnkit.contract.platform import API_KEYS_PATH, ApiKey, ApiKeyList, CreateApiKey
from fnkit.errors import PlatformError
from fnkit.platform.server.health import reachable_host
from fnkit.platform.server.lifecycle import RunningPlatform

__all__ = ["create_api_key", "delete_api_key", "list_api_keys"]

T = TypeVar("T")
_REQUEST_TIMEOUT: Final = 10.0


class _ApiErrorBody(msgspec.Struct, frozen=True):
    """The body of an error response."""

    message: str = "no reason given"


def create_api_key(platform: RunningPlatform, request: CreateApiKey) -> ApiKey:
    """Create an API key. Only this response contains its secret.

    Raises:
        PlatformError: ``key-refused`` or ``platform-no-answer``.
    """
    return _request(platform, "POST", API_KEYS_PATH, ApiKey, msgspec.json.encode(request))


def list_api_keys(platform: RunningPlatform) -> ApiKeyList:
    """Return all API keys except the platform's own.

    Raises:
        PlatformError: ``key-refused`` or ``platform-no-answer``.
    """
    return _request(platform, "GET", API_KEYS_PATH, ApiKeyList)


def delete_api_key(platform: RunningPlatform, access_key: str) -> ApiKey:
    """Delete an API key.

    Raises:
        PlatformError: ``key-refused`` or ``platform-no-answer``.
    """
    return _request(platform, "DELETE", f"{API_KEYS_PATH}/{quote(access_key, safe='')}", ApiKey)


def _request(
    platform: RunningPlatform, method: str, path: str, response_type: type[T], body: bytes | None = None
) -> T:
    host, port = reachable_host(platform.run_file.host), platform.run_file.api_port
    connection = http.client.HTTPConnection(host, port, timeout=_REQUEST_TIMEOUT)
    try:
        connection.request(method, path, body, {"X-Auth-Token": platform.secret_key})
        answer = connection.getresponse()
        content = answer.read()
        if answer.status == http.client.OK:
            return msgspec.json.decode(content, type=response_type)
        error = msgspec.json.decode(content, type=_ApiErrorBody)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError):
        raise PlatformError(
            f"The platform at {platform.api_url} does not answer requests for its API keys.",
            code="platform-no-answer",
            hint="Run `fnkit platform status` or `fnkit platform logs` for details.",
        ) from None
    finally:
        connection.close()
    hint = "Run `fnkit platform api-key list` to list them." if answer.status == http.client.NOT_FOUND else ""
    raise PlatformError(f"The platform rejected the request: {error.message}.", code="key-refused", hint=hint)
