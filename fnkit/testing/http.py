"""Requests to a platform and its functions, with the standard library."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

_TIMEOUT: Final = 60


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response to a request.

    Attributes:
        status: HTTP status.
        headers: Names and values, in order.
        body: The body's bytes.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """Return the value of a JSON body.

        Raises:
            ValueError: The body is not JSON.
        """
        return json.loads(self.body)

    def header(self, name: str) -> str:
        """Return the first value of a header, whatever its capitalization; empty if there is none."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")


def send_request(method: str, url: str, *, headers: Mapping[str, str], body: bytes | None) -> HttpResponse:
    """Send a request and return the response, whatever its status; redirects are not followed.

    Raises:
        OSError: There is no response.
    """
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_TIMEOUT)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        connection.request(method, target, body=body, headers=dict(headers))
        response = connection.getresponse()
        return HttpResponse(response.status, tuple(response.getheaders()), response.read())
    except http.client.HTTPException as error:
        raise ConnectionError(f"{method} {url}: {type(error).__name__}") from error
    finally:
        connection.close()
