"""Translates HTTP failures into errors. Never includes request headers, which contain the key."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

import msgspec
import requests

from fnkit.client.endpoint import Endpoint
from fnkit.errors import ApiError, ApiUnreachable, AuthenticationError, ConflictError, NotFoundError

__all__ = ["error_from_response", "error_from_exception"]

_MAX_MESSAGE_LENGTH: Final = 300
_UNAUTHORIZED_STATUSES: Final = (401, 403)
_ERROR_CLASSES: Final[dict[int, type[ApiError]]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
}
_ERROR_CODES: Final = {429: "rate-limited", 501: "not-implemented"}


class _ErrorDetail(msgspec.Struct, frozen=True):
    argument_name: str = ""
    help_message: str = ""
    reason: str = ""


class _ErrorBody(msgspec.Struct, frozen=True):
    message: str = ""
    type: str | None = None
    details: list[_ErrorDetail] = []


def error_from_response(response: requests.Response, endpoint: Endpoint, operation: str) -> ApiError:
    """Return the error for an unsuccessful or undecodable response; ``operation`` describes the request."""
    status = response.status_code
    body = _decode_error(response.content)
    if body is None:
        return ApiUnreachable(
            f"The response of {endpoint.api_url} to {operation} is not JSON (status {status}): it is not the Functions "
            "API, or a proxy is in front of it.",
            status=status,
            code="not-the-api",
            hint="Check --api-url and SCW_API_URL, and the proxy settings in the environment.",
        )
    message = f"The API refused {operation}: {_error_text(body) or _status_phrase(status)} (status {status})."
    hint = _key_hint(endpoint, status) if status in _UNAUTHORIZED_STATUSES else None
    kind = _ERROR_CLASSES.get(status, ApiError)
    return kind(message, status=status, body_type=body.type, hint=hint, code=_ERROR_CODES.get(status))


def error_from_exception(error: requests.RequestException, endpoint: Endpoint, operation: str) -> ApiUnreachable:
    """Return the error for a request without a response; ``operation`` describes the request."""
    if isinstance(error, requests.exceptions.ProxyError):
        return ApiUnreachable(
            f"The proxy in the environment rejected {operation} to {endpoint.api_url}.",
            code="proxy",
            hint="Check HTTPS_PROXY and NO_PROXY.",
        )
    if isinstance(error, requests.exceptions.SSLError):
        return ApiUnreachable(
            f"The certificate of {endpoint.api_url} is not trusted on this machine.",
            code="untrusted-certificate",
            hint="Behind a proxy that intercepts TLS, set REQUESTS_CA_BUNDLE to its CA certificate.",
        )
    hint = "Start the platform with `fnkit platform start`." if endpoint.is_loopback else "Check the network."
    if isinstance(error, requests.exceptions.Timeout):
        return ApiUnreachable(f"{endpoint.api_url} timed out for {operation}.", code="api-timeout", hint=hint)
    return ApiUnreachable(f"{endpoint.api_url} could not be reached for {operation}.", hint=hint)


def _decode_error(content: bytes) -> _ErrorBody | None:
    try:
        return msgspec.json.decode(content, type=_ErrorBody)
    except msgspec.DecodeError:
        return None


def _error_text(body: _ErrorBody) -> str:
    details = "; ".join(
        f"{detail.argument_name}: {detail.help_message or detail.reason}"
        for detail in body.details
        if detail.argument_name
    )
    return f"{body.message} ({details})"[:_MAX_MESSAGE_LENGTH] if details else body.message[:_MAX_MESSAGE_LENGTH]


def _status_phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "no reason given"


def _key_hint(endpoint: Endpoint, status: int) -> str:
    if status == HTTPStatus.UNAUTHORIZED:
        return f"The key is from {endpoint.key_origin}; check that it is a secret key and still exists."
    return f"The key is from {endpoint.key_origin}; it lacks permissions for project {endpoint.project_id}."
