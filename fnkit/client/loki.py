"""Client of Loki's ``query_range``, which the local platform and Scaleway's Cockpit both serve.

Errors of Loki are plain text. No request is repeated: a reader that follows logs asks again anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final, Self

import msgspec
import requests

from fnkit.client.bounded_responses import BoundedAdapter, BoundedSession, ResponseTooLarge, read_body
from fnkit.client.endpoint import is_loopback
from fnkit.client.transport import no_auth
from fnkit.errors import ApiError, ApiUnreachable, AuthenticationError

MAX_LINES: Final = 5000
"""Maximum number of lines of one response: the default of Loki, and the limit of the local platform."""

END_OF_TIME: Final = 2**63 - 1
"""Nanoseconds. The clock of a local platform may stand still or run ahead, so its lines are read without an end."""

_CONNECT_SECONDS: Final = 10.0
_RESPONSE_SECONDS: Final = 70.0  # the local platform's limit of a query is 60
_MAX_MESSAGE_LENGTH: Final = 300
_MAX_QUERY_IN_URL: Final = 4000
_TOO_LARGE: Final = "the answer would be larger"
"""In the message of the local platform, which limits the bytes of a response."""

_TEMPORARY_STATUSES: Final = frozenset({429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogServer:
    """A Loki server that has the logs of functions.

    Args:
        url: Its base URL, without ``/loki/api/v1`` and a trailing slash.
        token: Sent as ``X-Token``, which the platform and Cockpit accept.
        is_platform: Whether it is the local platform, where ``stream`` is a label and the clock is its own.
    """

    url: str
    token: str = field(repr=False)
    is_platform: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of a log.

    Args:
        time: Unix nanoseconds.
        function_id: ID of the function.
        function: Name of the function.
        stream: ``stdout``, ``stderr``, ``requests``, ``system`` or ``build``; empty if the server does not say.
        instance: The instance that wrote it; empty if unknown.
        request_id: The request during which it was written; empty outside of requests.
        generation: The deployment that a line of a build belongs to; 0 for other lines.
        message: The text, without a line break at its end.
    """

    time: int
    function_id: str
    function: str
    stream: str
    instance: str
    request_id: str
    generation: int
    message: str


class LogsUnavailable(ApiUnreachable):
    """The server cannot be reached or is overloaded; the same request may succeed later."""

    default_code = "logs-unavailable"


class _Stream(msgspec.Struct, frozen=True):
    stream: dict[str, str]
    values: list[tuple[str, str]]


class _Data(msgspec.Struct, frozen=True):
    result: list[_Stream]


class _Response(msgspec.Struct, frozen=True):
    data: _Data


class _WrappedLine(msgspec.Struct, frozen=True):
    """A line as Cockpit may wrap it in JSON."""

    message: str
    stream: str


_decoder: Final = msgspec.json.Decoder(_Response)
_wrapped_decoder: Final = msgspec.json.Decoder(_WrappedLine)


class LogClient:
    """Reads lines from a Loki server. A context manager.

    Args:
        server: The server.
    """

    def __init__(self, server: LogServer) -> None:
        self.server = server
        self._session = BoundedSession()
        self._session.trust_env = not is_loopback(server.url)
        self._session.mount("http://", BoundedAdapter())
        self._session.mount("https://", BoundedAdapter())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.close()

    def query_range(
        self, query: str, *, start: int, end: int | None = None, limit: int, newest_first: bool = False
    ) -> list[LogLine]:
        """Return the lines of a time range, oldest first.

        Args:
            query: The query, in LogQL.
            start: Start of the range in Unix nanoseconds, included.
            end: Its end, excluded; ``None`` for the newest line.
            limit: Maximum number of lines, at most ``MAX_LINES``.
            newest_first: Take the newest lines of the range instead of the oldest.

        Raises:
            LogsUnavailable: The server cannot be reached or is overloaded.
            ApiError: It rejects the key or the query, or is not Loki.
        """
        if end is None and self.server.is_platform:
            end = END_OF_TIME
        parameters: dict[str, str | int] = {
            "query": query,
            "start": start,
            "limit": limit,
            "direction": "backward" if newest_first else "forward",
        }
        if end is not None:
            parameters["end"] = end
        content = self._get(parameters)
        try:
            response = _decoder.decode(content)
        except msgspec.DecodeError:
            raise self._not_loki() from None
        lines = [
            _parse_line(int(time), text, one.stream, may_be_wrapped=not self.server.is_platform)
            for one in response.data.result
            for time, text in one.values
            if time.isdecimal()
        ]
        return sorted(lines, key=lambda line: line.time)

    def _get(self, parameters: dict[str, str | int]) -> bytes:
        url = self.server.url
        # The IDs of many functions make a query too long for a URL.
        is_long = len(str(parameters["query"])) > _MAX_QUERY_IN_URL
        try:
            response = self._session.request(
                "POST" if is_long else "GET",
                f"{url}/loki/api/v1/query_range",
                params=None if is_long else parameters,
                data=parameters if is_long else None,
                headers={"X-Token": self.server.token, "Accept-Encoding": "identity", "User-Agent": "fnkit"},
                auth=no_auth,
                timeout=(_CONNECT_SECONDS, _RESPONSE_SECONDS),
                allow_redirects=False,
                stream=True,
            )
            content = read_body(response)
        except ResponseTooLarge:
            raise self._too_large() from None
        except requests.RequestException:
            hint = "Start the platform with `fnkit platform start`." if is_loopback(url) else "Check the network."
            raise LogsUnavailable(f"The logs at {url} could not be reached.", hint=hint) from None
        if response.status_code == HTTPStatus.OK:
            return content
        raise self._error(response.status_code, content)

    def _error(self, status: int, content: bytes) -> ApiError:
        url = self.server.url
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return AuthenticationError(
                f"The log server at {url} rejects the token (status {status}).",
                status=status,
                code="log-token-rejected",
                hint="A Cockpit token needs the permission to query logs, and belongs to one region.",
            )
        text = content.decode("utf-8", "replace").strip()[:_MAX_MESSAGE_LENGTH]
        if status in _TEMPORARY_STATUSES:
            return LogsUnavailable(
                f"The log server at {url} is not available: {text} (status {status}).", status=status
            )
        if status == HTTPStatus.BAD_REQUEST and _TOO_LARGE in text:
            return self._too_large()
        if status == HTTPStatus.BAD_REQUEST:
            return ApiError(f"The log server at {url} rejects the query: {text}.", status=status)
        return self._not_loki(status)

    def _too_large(self) -> ApiError:
        return ApiError(
            f"The lines at {self.server.url} are too large for one response.",
            code="response-too-large",
            hint="Choose a shorter time with --since, or a smaller --limit.",
        )

    def _not_loki(self, status: int = HTTPStatus.OK) -> ApiError:
        return ApiUnreachable(
            f"The server at {self.server.url} is not Loki (status {status}).",
            status=status,
            code="not-loki",
            hint="Check --loki-url, and the proxy settings in the environment.",
        )


def _parse_line(time: int, text: str, labels: dict[str, str], *, may_be_wrapped: bool) -> LogLine:
    stream = labels.get("stream", "")
    if may_be_wrapped and text.startswith("{"):
        stream, text = _unwrap(text, stream)
    generation = labels.get("generation", "")
    return LogLine(
        time=time,
        function_id=labels.get("resource_id", ""),
        function=labels.get("resource_name", ""),
        stream=stream,
        instance=labels.get("resource_instance", ""),
        request_id=labels.get("request_id", ""),
        generation=int(generation) if generation.isdecimal() else 0,
        message=text.rstrip("\n"),
    )


def _unwrap(text: str, stream: str) -> tuple[str, str]:
    """Return stream and text of a line, which Cockpit may wrap as ``{"message": …, "stream": …}``."""
    try:
        wrapped = _wrapped_decoder.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return stream, text
    return wrapped.stream, wrapped.message
