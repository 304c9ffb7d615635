"""One POST of lines to a Loki's push API, in JSON with each line's metadata."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from fnkit.platform.layout import LogPushSettings
from fnkit.platform.logql.entries import Entry

if TYPE_CHECKING:
    import requests

__all__ = ["LogReceiver", "NotTakenError", "RefusedError", "push_body"]

_SECONDS: Final = (5.0, 30.0)  # to connect, to be answered
_TAKEN: Final = range(200, 300)
_LATER: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Statuses that say nothing against the lines: a key or an address that is put right later, or too much at once."""

_TOO_LARGE: Final = 413
_LONGEST_WAIT: Final = 300.0
_SHOWN: Final = 300
_encoder: Final = msgspec.json.Encoder()


class NotTakenError(Exception):
    """The receiver did not take the lines now. ``wait``: the seconds that it asks for, or 0."""

    def __init__(self, message: str, wait: float = 0.0) -> None:
        super().__init__(message)
        self.wait = wait


class RefusedError(Exception):
    """The receiver will never take these lines."""

    def __init__(self, message: str, *, too_large: bool) -> None:
        super().__init__(message)
        self.too_large = too_large


class _PushStream(msgspec.Struct, frozen=True):
    stream: dict[str, str]
    values: list[tuple[str, str, dict[str, str]]]


class _Push(msgspec.Struct, frozen=True):
    streams: list[_PushStream]


class LogReceiver:
    """A Loki. ``name``: its address, without credentials, for logs."""

    def __init__(self, settings: LogPushSettings) -> None:
        self.name = settings.url
        self._settings = settings
        self._session: requests.Session | None = None

    def push(self, entries: list[Entry]) -> None:
        """Send lines. Blocks for as long as the receiver takes.

        Raises:
            NotTakenError: it may take them later.
            RefusedError: it never will.
        """
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = not _is_loopback(self._settings.url)  # proxies are not asked for this machine
            self._session.headers.update(
                {"Content-Type": "application/json", "Content-Encoding": "gzip", "User-Agent": "fnkit"}
            )
            self._session.headers.update(dict(self._settings.headers))
        body = gzip.compress(push_body(entries), compresslevel=1)
        try:
            answer = self._session.post(self._settings.url, data=body, timeout=_SECONDS, allow_redirects=False)
        except requests.RequestException as error:
            raise NotTakenError(type(error).__name__) from None
        if answer.status_code in _TAKEN:
            return
        text = f"{answer.status_code} {answer.text[:_SHOWN].strip()}"
        if answer.status_code in _LATER or answer.status_code not in range(400, 500):
            raise NotTakenError(text, _wait(answer.headers.get("Retry-After", "")))
        raise RefusedError(text, too_large=answer.status_code == _TOO_LARGE)


def push_body(entries: list[Entry]) -> bytes:
    """Return the body of a push: lines by stream, in their order, each with its metadata."""
    streams: dict[int, _PushStream] = {}
    for entry in entries:
        stream = streams.get(id(entry.stream))
        if stream is None:
            stream = streams[id(entry.stream)] = _PushStream(dict(entry.stream), [])
        stream.values.append((str(entry.time), entry.line, dict(entry.metadata)))
    return _encoder.encode(_Push(list(streams.values())))


def _wait(text: str) -> float:
    return min(float(text), _LONGEST_WAIT) if text.isdecimal() else 0.0


def _is_loopback(url: str) -> bool:
    return (urlsplit(url).hostname or "") in {"localhost", "127.0.0.1", "::1"}
