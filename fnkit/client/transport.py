"""Sends HTTP requests to the API, retries them where that is safe, and translates failures into errors.

Reads are retried after dropped connections and 429, 502, 503 and 504. Writes are retried only if the connection
could not be established, so the server cannot have processed them; ``fnkit.deploy`` decides about all other retries
of writes, because it knows which are idempotent. Error messages never include request headers, which contain the
key.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import IO, Final, TypeVar

import msgspec
import requests

from fnkit.client.bounded_responses import (
    RESPONSE_MAX_BYTES,
    BoundedAdapter,
    BoundedRetry,
    BoundedSession,
    ResponseTooLarge,
    read_body,
)
from fnkit.client.endpoint import Endpoint, is_loopback
from fnkit.errors import ApiError, ApiUnreachable, AuthenticationError, ConflictError, NotFoundError

_MAX_MESSAGE_LENGTH: Final = 300
_UNAUTHORIZED_STATUSES: Final = (401, 403)
_ERROR_CLASSES: Final[dict[int, type[ApiError]]] = {
    401: AuthenticationError,
    403: AuthenticationError,
    404: NotFoundError,
    409: ConflictError,
}
_ERROR_CODES: Final = {429: "rate-limited", 501: "not-implemented"}

T = TypeVar("T")
Query = Mapping[str, str | int | None]
_CONNECT_SECONDS: Final = 10.0
_RESPONSE_SECONDS: Final = 60.0
_UPLOAD_RESPONSE_SECONDS: Final = 900.0
_READ_RETRY_POLICY: Final = BoundedRetry(
    total=4,
    connect=1,
    read=3,
    status=4,
    backoff_factor=0.3,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=frozenset({"GET", "HEAD"}),
    respect_retry_after_header=True,
    raise_on_status=False,
)
_MAX_CONNECTIONS: Final = 32
_UNCOMPRESSED: Final = {"Accept-Encoding": "identity"}
"""A few bytes could unpack to more than the machine's memory."""


class _ErrorDetail(msgspec.Struct, frozen=True):
    argument_name: str = ""
    help_message: str = ""
    reason: str = ""


class _ErrorBody(msgspec.Struct, frozen=True):
    message: str = ""
    type: str | None = None
    details: list[_ErrorDetail] = []


_decoder_lock: Final = threading.Lock()
_error_decoder: Final = msgspec.json.Decoder(_ErrorBody)


def _error_from_response(status: int, content: bytes, endpoint: Endpoint, operation: str) -> ApiError:
    """Return the error for an unsuccessful or undecodable response; ``operation`` describes the request."""
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return ApiUnreachable(
            f"The server redirected {operation} to another address (status {status}), which is not followed: "
            "the other server would receive what was sent.",
            status=status,
            code="redirected",
            hint="Check --api-url and SCW_API_URL, and the proxy settings in the environment.",
        )
    body = _decode_error(content)
    if body is None:
        return _not_the_api(endpoint, operation, status, "is not JSON")
    message = f"The API refused {operation}: {_error_text(body) or _status_phrase(status)} (status {status})."
    hint = _key_hint(endpoint, status) if status in _UNAUTHORIZED_STATUSES else None
    kind = _ERROR_CLASSES.get(status, ApiError)
    return kind(message, status=status, body_type=body.type, hint=hint, code=_ERROR_CODES.get(status))


def _not_the_api(endpoint: Endpoint, operation: str, status: int, what: str) -> ApiUnreachable:
    return ApiUnreachable(
        f"The response of {endpoint.api_url} to {operation} (status {status}) {what}: it is not the Functions "
        "API, or a proxy is in front of it.",
        status=status,
        code="not-the-api",
        hint="Check --api-url and SCW_API_URL, and the proxy settings in the environment.",
    )


def _error_from_exception(error: requests.RequestException, endpoint: Endpoint, operation: str) -> ApiUnreachable:
    """Return the error for a request without a response; ``operation`` describes the request."""
    if isinstance(error, requests.exceptions.ProxyError):
        return ApiUnreachable(
            f"The proxy in the environment did not pass on {operation} to {endpoint.api_url}.",
            code="proxy",
            hint="Check HTTPS_PROXY and NO_PROXY.",
        )
    if isinstance(error, requests.exceptions.SSLError):
        return ApiUnreachable(
            f"The certificate of {endpoint.api_url} is not trusted on this machine.",
            code="untrusted-certificate",
            hint="Behind a proxy that intercepts TLS, set REQUESTS_CA_BUNDLE to its CA certificate.",
        )
    if isinstance(error, ResponseTooLarge):
        return ApiUnreachable(
            f"The response of {endpoint.api_url} to {operation} is larger than {RESPONSE_MAX_BYTES >> 20} MiB.",
            code="response-too-large",
            hint="Check --api-url and SCW_API_URL: it may not be the Functions API.",
        )
    hint = "Start the platform with `fnkit platform start`." if endpoint.is_loopback else "Check the network."
    if isinstance(error, requests.exceptions.Timeout):
        return ApiUnreachable(f"{endpoint.api_url} timed out for {operation}.", code="api-timeout", hint=hint)
    return ApiUnreachable(f"{endpoint.api_url} could not be reached for {operation}.", hint=hint)


def _decode_error(content: bytes) -> _ErrorBody | None:
    try:
        return _error_decoder.decode(content)
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


@dataclass(frozen=True, slots=True)
class RawResponse:
    """A response of the API; ``content_type`` and ``date``, the headers, are empty if it has none."""

    status: int
    content_type: str
    content: bytes
    date: str = ""


class Transport:
    """Sends requests to one endpoint. Thread-safe.

    Args:
        endpoint: The endpoint.
        response_seconds: How long a response may take, from the end of the request to its last byte.
    """

    def __init__(self, endpoint: Endpoint, *, response_seconds: float = _RESPONSE_SECONDS) -> None:
        self.endpoint = endpoint
        self._response_seconds = response_seconds
        self._session = BoundedSession()
        # Never use a proxy for a loopback address. ``trust_env`` also enables ~/.netrc, which must not replace
        # the token; ``no_auth`` prevents that where the environment is trusted.
        self._session.trust_env = not endpoint.is_loopback
        self._session.headers.update({"User-Agent": "fnkit", "Accept": "application/json"})
        self._session.headers.update(_UNCOMPRESSED)
        adapter = BoundedAdapter(max_retries=_READ_RETRY_POLICY, pool_connections=4, pool_maxsize=_MAX_CONNECTIONS)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def request(
        self,
        method: str,
        path: str,
        response_type: type[T],
        *,
        query: Query | None = None,
        body: msgspec.Struct | None = None,
    ) -> T:
        """Send a request and decode the response.

        Args:
            method: The HTTP method.
            path: A path under the region; one that starts with ``/`` is outside the Functions API.
            response_type: Type of the response.
            query: Query parameters, without those that are ``None``.
            body: The body. A POST or PATCH without one sends an empty object.

        Raises:
            ApiError: The API rejected the request or could not be reached.
        """
        if not path.startswith("/"):
            path = f"/functions/v1beta1/regions/{self.endpoint.region}/{path}"
        payload = None
        if body is not None or method in ("POST", "PATCH"):
            payload = b"{}" if body is None else msgspec.json.encode(body)
        given = {key: str(value) for key, value in (query or {}).items() if value is not None}
        response = self.exchange(method, path, given, payload)
        if not _is_success(response.status):
            operation = _operation(method, path)
            raise _error_from_response(response.status, response.content, self.endpoint, operation)
        return self._decode(response, response_type, _operation(method, path))

    def exchange(self, method: str, path: str, query: Mapping[str, str], payload: bytes | None) -> RawResponse:
        """Send a request and return its response, whatever the status.

        Args:
            method: The HTTP method.
            path: The whole path.
            query: Query parameters.
            payload: A JSON document, or ``None`` for no body.

        Raises:
            ApiError: There was no complete response.
        """
        url = self.endpoint.api_url + path
        headers = {"X-Auth-Token": self.endpoint.secret_key}
        if payload is not None:
            headers["Content-Type"] = "application/json"
        try:
            response = self._session.request(
                method,
                url,
                params=query,
                data=payload,
                headers=headers,
                auth=no_auth,
                timeout=(_CONNECT_SECONDS, self._response_seconds),
                allow_redirects=False,
                stream=True,
            )
            content = read_body(response)
        except requests.RequestException as error:
            raise _error_from_exception(error, self.endpoint, _operation(method, path)) from None
        kind, date = (response.headers.get(name, "") for name in ("Content-Type", "Date"))
        return RawResponse(response.status_code, kind, content, date)

    def upload(self, url: str, headers: Mapping[str, str], archive: IO[bytes], size: int) -> None:
        """PUT an archive to a signed URL, which contains its own authorization.

        Args:
            url: The signed URL.
            headers: Headers that the signature covers.
            archive: The file, at its beginning.
            size: Its size in bytes, at least 1.

        Raises:
            ApiError: The store rejected the upload or could not be reached.
        """
        sent_headers = {
            "Content-Length": str(size),
            "Content-Type": "application/octet-stream",
            **_UNCOMPRESSED,
            **headers,
        }
        session = BoundedSession()
        session.trust_env = not is_loopback(url)
        session.auth = no_auth
        session.mount("http://", BoundedAdapter())
        session.mount("https://", BoundedAdapter())
        try:
            # requests would send an empty file chunked, without Content-Length. An archive is never empty.
            response = session.put(
                url,
                data=archive,
                headers=sent_headers,
                timeout=(_CONNECT_SECONDS, _UPLOAD_RESPONSE_SECONDS),
                allow_redirects=False,
                stream=True,
            )
            content = read_body(response)
        except requests.RequestException as error:
            raise _error_from_exception(error, self.endpoint, "the upload") from None
        finally:
            session.close()
        if not _is_success(response.status_code):
            raise _error_from_response(response.status_code, content, self.endpoint, "the upload")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _decode(self, response: RawResponse, response_type: type[T], operation: str) -> T:
        # msgspec analyses a type when it is first used. A second thread that used the half-analysed type meanwhile
        # would crash the process.
        with _decoder_lock:
            decoder = msgspec.json.Decoder(response_type)
        try:
            return decoder.decode(response.content)
        except msgspec.ValidationError as error:
            what = f"has another form ({error})"
        except msgspec.DecodeError:
            what = "is not JSON"
        raise _not_the_api(self.endpoint, operation, response.status, what)


def _is_success(status: int) -> bool:
    """Return whether a status is 2xx.

    The API itself returns 200 only; other object stores may return other 2xx statuses for a signed URL. A redirect
    is a failure, because following it could send the token to another host.
    """
    return HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Prevent requests from adding an Authorization header from ``~/.netrc``."""
    return request


def _operation(method: str, path: str) -> str:
    """Return the method and the part of the path after the region, for messages."""
    return f"{method} {path.split('/regions/', 1)[-1].split('/', 1)[-1]}"
