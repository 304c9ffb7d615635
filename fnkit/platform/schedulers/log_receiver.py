"""Client of Loki's push API, with JSON bodies and structured metadata.

``https://grafana.com/docs/loki/latest/reference/loki-http-api/#ingest-logs`` describes the format.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from fnkit.platform.layout import LokiPushSettings
from fnkit.platform.logql.entries import LogEntry

if TYPE_CHECKING:
    import requests

__all__ = ["LokiClient", "TemporarilyRejected", "PermanentlyRejected", "encode_push"]

_TIMEOUTS: Final = (5.0, 30.0)  # seconds to connect, and between two bytes of the response
_SUCCESS_STATUSES: Final = range(200, 300)
_RETRYABLE_STATUSES: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Statuses that do not depend on the lines: wrong credentials or URL, which may be corrected, and rate limits."""

_PAYLOAD_TOO_LARGE: Final = 413
_MAX_RETRY_AFTER: Final = 300.0
_MAX_ECHO: Final = 300
_encoder: Final = msgspec.json.Encoder()


class TemporarilyRejected(Exception):
    """The lines were not accepted now, but may be later.

    Attributes:
        retry_after: The seconds to wait that the server asked for, or 0.
    """

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PermanentlyRejected(Exception):
    """The server rejected the lines for good.

    Attributes:
        too_large: Whether the reason is the size of the request.
    """

    def __init__(self, message: str, *, too_large: bool) -> None:
        super().__init__(message)
        self.too_large = too_large


class _PushStream(msgspec.Struct, frozen=True):
    stream: dict[str, str]
    values: list[tuple[str, str, dict[str, str]]]


class _PushRequest(msgspec.Struct, frozen=True):
    streams: list[_PushStream]


class LokiClient:
    """A Loki server. ``name`` is its URL without credentials, for log messages."""

    def __init__(self, settings: LokiPushSettings) -> None:
        self.name = settings.url
        self._settings = settings
        self._session: requests.Session | None = None

    def push(self, entries: list[LogEntry]) -> None:
        """Push lines. Blocks until the server responded.

        Raises:
            TemporarilyRejected: The lines may be accepted later.
            PermanentlyRejected: The lines will never be accepted.
        """
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = not _is_loopback(self._settings.url)  # never use a proxy for loopback
            self._session.headers.update(
                {"Content-Type": "application/json", "Content-Encoding": "gzip", "User-Agent": "fnkit"}
            )
            self._session.headers.update(dict(self._settings.headers))
        body = gzip.compress(encode_push(entries), compresslevel=1)
        try:
            response = self._session.post(self._settings.url, data=body, timeout=_TIMEOUTS, allow_redirects=False)
        except requests.RequestException as error:
            raise TemporarilyRejected(type(error).__name__) from None
        if response.status_code in _SUCCESS_STATUSES:
            return
        text = f"{response.status_code} {response.text[:_MAX_ECHO].strip()}"
        if response.status_code in _RETRYABLE_STATUSES or response.status_code not in range(400, 500):
            raise TemporarilyRejected(text, _parse_retry_after(response.headers.get("Retry-After", "")))
        raise PermanentlyRejected(text, too_large=response.status_code == _PAYLOAD_TOO_LARGE)


def encode_push(entries: list[LogEntry]) -> bytes:
    """Return the body of a push request: the lines grouped by stream, in their order, with their metadata."""
    streams: dict[int, _PushStream] = {}
    for entry in entries:
        # Entries of one stream share the same mapping, so its identity is the cheapest key.
        stream = streams.get(id(entry.stream))
        if stream is None:
            stream = streams[id(entry.stream)] = _PushStream(dict(entry.stream), [])
        stream.values.append((str(entry.time), entry.line, dict(entry.metadata)))
    return _encoder.encode(_PushRequest(list(streams.values())))


def _parse_retry_after(text: str) -> float:
    return min(float(text), _MAX_RETRY_AFTER) if text.isdecimal() else 0.0


def _is_loopback(url: str) -> bool:
    return (urlsplit(url).hostname or "") in {"localhost", "127.0.0.1", "::1"}
