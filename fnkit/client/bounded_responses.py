"""Limits how long a server may take to answer, and how much it may send.

A read timeout of ``requests`` limits each wait for data, so a server that sends a byte from time to time is never
timed out. With ``BoundedAdapter`` it limits the whole response, from the end of the request to the last byte.
"""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any, Final

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.retry import Retry

RESPONSE_MAX_BYTES: Final = 64 * 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
_MAX_RETRY_AFTER_SECONDS: Final = 60.0


class ResponseTooLarge(requests.RequestException):
    """The server sent more than ``RESPONSE_MAX_BYTES``."""


class _DeadlineReader(io.RawIOBase):
    """Reads from a socket until its timeout has passed, counted from now and not from the last byte."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._raw = connection.makefile("rb", buffering=0)
        timeout = connection.gettimeout()
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._deadline is not None:
            remaining = self._deadline - time.monotonic()
            if remaining <= 0:
                raise TimeoutError("the response took too long")
            self._connection.settimeout(remaining)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _BoundedHttpResponse(HTTPResponse):
    """A response whose head and body are read through a ``_DeadlineReader``."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_DeadlineReader(sock))


class _Connection(HTTPConnection):
    response_class = _BoundedHttpResponse


class _TlsConnection(HTTPSConnection):
    response_class = _BoundedHttpResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _TlsConnection


_POOL_CLASSES: Final = {"http": _Pool, "https": _TlsPool}


class BoundedAdapter(HTTPAdapter):
    """An adapter of ``requests`` whose read timeout limits the whole response, also through a proxy."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Create the connection pools. Called by the base class."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOL_CLASSES

    def proxy_manager_for(self, proxy: str, **options: Any) -> urllib3.ProxyManager:
        """Return the connection pools of a proxy. Called by the base class."""
        manager: urllib3.ProxyManager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOL_CLASSES
        return manager


class BoundedSession(requests.Session):
    """A session that follows no redirect, and whose responses ``read_body`` reads, also those that redirect.

    ``requests`` reads the whole body of a redirect, however large, even with ``allow_redirects=False``.
    """

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return that the response leads nowhere. Called by the base class."""
        del resp


class BoundedRetry(Retry):
    """Retries that wait at most a minute, whatever ``Retry-After`` says."""

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        """Return the seconds to wait, or ``None`` if the server does not say."""
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, _MAX_RETRY_AFTER_SECONDS)


def read_body(response: requests.Response) -> bytes:
    """Return the body of a response that was requested with ``stream=True`` and without compression.

    Raises:
        ResponseTooLarge: It is larger than ``RESPONSE_MAX_BYTES``.
        requests.RequestException: The connection was lost, or the response took too long.
    """
    body = bytearray()
    try:
        while chunk := response.raw.read(_CHUNK_BYTES, decode_content=False):
            body += chunk
            if len(body) > RESPONSE_MAX_BYTES:
                response.close()
                raise ResponseTooLarge(response=response)
    except urllib3.exceptions.ReadTimeoutError as error:
        raise requests.ReadTimeout(error, response=response) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error, response=response) from error
    return bytes(body)
