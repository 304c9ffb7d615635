"""Translates HTTP failures into errors. Never includes request headers, which contain the key."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec
import requests

from fnkit.client.endpoint import Endpoint
from fnkit.errors import ApiError, ApiUnreachable, AuthenticationError, ConflictError, NotFoundError

__all__ = ["failure_from_answer", "failure_from_exception"]

_SHOWN_CHARACTERS: Final = 300
_REFUSED: Final = (401, 403)
_KINDS: Final[dict[int, type[ApiError]]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
}
_CODES: Final = {429: "rate-limited", 501: "not-implemented"}


class _Detail(msgspec.Struct, frozen=True):
    argument_name: str = ""
    help_message: str = ""
    reason: str = ""


class _Body(msgspec.Struct, frozen=True):
    message: str = ""
    type: str | None = None
    details: list[_Detail] = []


def failure_from_answer(answer: requests.Response, endpoint: Endpoint, what: str) -> ApiError:
    """Return the error for an unsuccessful or undecodable response; ``operation`` describes the request."""
    status = answer.status_code
    body = _decode(answer.content)
    if body is None:
        return ApiUnreachable(
            f"The response of {endpoint.api_url} to {what} is not JSON (status {status}): it is not the Functions "
            "API, or a proxy is in front of it.",
            status=status,
            code="not-the-api",
            hint="Check --api-url and SCW_API_URL, and the proxy settings in the environment.",
        )
    message = f"The API refused {what}: {_words(body) or _phrase(status)} (status {status})."
    hint = _key_hint(endpoint, status) if status in _REFUSED else None
    kind = _KINDS.get(status, ApiError)
    return kind(message, status=status, body_type=body.type, hint=hint, code=_CODES.get(status))


def failure_from_exception(error: requests.RequestException, endpoint: Endpoint, what: str) -> ApiUnreachable:
    """Return the error for a request without a response; ``operation`` describes the request."""
    if isinstance(error, requests.exceptions.ProxyError):
        return ApiUnreachable(
            f"The proxy in the environment rejected {what} to {endpoint.api_url}.",
            code="proxy",
            hint="Check HTTPS_PROXY and NO_PROXY.",
        )
    if isinstance(error, requests.exceptions.SSLError):
        return ApiUnreachable(
            f"The certificate of {endpoint.api_url} is not trusted on this machine.",
            code="untrusted-certificate",
            hint="Behind a proxy that intercepts TLS, set REQUESTS_CA_BUNDLE to its CA certificate.",
        )
    hint = "Start the platform with `fnkit platform start`." if endpoint.loopback else "Check the network."
    if isinstance(error, requests.exceptions.Timeout):
        return ApiUnreachable(f"{endpoint.api_url} timed out for {what}.", code="api-timeout", hint=hint)
    return ApiUnreachable(f"{endpoint.api_url} could not be reached for {what}.", hint=hint)


def _decode(content: bytes) -> _Body | None:
    try:
        return msgspec.json.decode(content, type=_Body)
    except msgspec.DecodeError:
        return None


def _words(body: _Body) -> str:
    details = "; ".join(
        f"{detail.argument_name}: {detail.help_message or detail.reason}"
        for detail in body.details
        if detail.argument_name
    )
    return f"{body.message} ({details})"[:_SHOWN_CHARACTERS] if details else body.message[:_SHOWN_CHARACTERS]


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "no reason given"


def _key_hint(endpoint: Endpoint, status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return f"The key is from {endpoint.origin}; check that it is a secret key and still exists."
    return f"The key is from {endpoint.origin}; it lacks permissions for project {endpoint.project_id}."
