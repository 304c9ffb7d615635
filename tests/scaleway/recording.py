"""Records the exchanges of a client in the form of the recordings: one JSON object per line.

The fields are those of the recorded traffic that ``tests/conformance`` replays: ``op``, ``method``, ``path``,
``query``, ``request_body``, ``status``, ``response_body``, ``response_headers`` and ``t``, the seconds since the
first exchange. Equal GETs in a row become one with ``repeats`` and ``t_last``. What is not an operation of the API
has an ``op`` and a path that start with ``@``.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from typing import IO, Final
from urllib.parse import urlsplit

from fnkit.client import Endpoint
from fnkit.client.transport import RawResponse, Transport

_API: Final = "/functions/v1beta1/"
_WRITES: Final = {"POST": "Create", "PATCH": "Update", "DELETE": "Delete"}
_SPECIAL: Final = {"upload-url": "GetFunctionUploadURL", "deploy": "DeployFunction", "logs": "@logs"}
_CREDENTIAL: Final = re.compile(r"eyJ[\w-]+\.[\w-]+|X-Amz-(?:Credential|Signature)|[?&]signature=", re.IGNORECASE)


class LeakError(Exception):
    """A recording contains something private. The message names it, but does not repeat it."""


class RecordingTransport(Transport):
    """Records what it sends and receives, without its headers but for the content type."""

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__(endpoint)
        self.entries: list[dict[str, object]] = []
        self.exchanges = 0
        self._began = time.monotonic()

    def exchange(self, method: str, path: str, query: Mapping[str, str], payload: bytes | None) -> RawResponse:
        """Send a request and record it, if it is one to the Functions API."""
        response = super().exchange(method, path, query, payload)
        if path.startswith(_API):
            op = _operation_id(method, path)
            self.record(
                op=op,
                method=method,
                path=path.replace(_API, "@") if op.startswith("@") else path,
                query=dict(query),
                request_body=None if payload is None else json.loads(payload),
                status=response.status,
                response_body=_without_signature(_decode(response.content)),
                response_headers={"content-type": response.content_type},
            )
        return response

    def upload(self, url: str, headers: Mapping[str, str], archive: IO[bytes], size: int) -> None:
        """Upload an archive and record it, without the signature of the URL."""
        super().upload(url, headers, archive, size)
        self.record(
            op="@upload",
            method="PUT",
            path=f"@s3{urlsplit(url).path}",
            query={},
            request_body=None,
            request_headers={"content-length": str(size), "content-type": "application/octet-stream"},
            status=200,
            response_body=None,
            response_headers={},
        )

    def record(self, **entry: object) -> None:
        """Add an entry, or count it with the last one if that is an equal GET."""
        self.exchanges += 1
        now = round(time.monotonic() - self._began)
        last = self.entries[-1] if self.entries else {}
        if entry["method"] == "GET" and {key: last.get(key) for key in entry} == entry:
            repeats = last.get("repeats", 1)
            assert isinstance(repeats, int)
            last |= {"repeats": repeats + 1, "t_last": now}
        else:
            self.entries.append({**entry, "t": now})

    def render(self, private: Mapping[str, str]) -> str:
        """Return the recording as text.

        Args:
            private: What must not be in it → what stands there instead.

        Raises:
            LeakError: The text still contains one of the private values, a token or a signature.
        """
        text = "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in self.entries)
        for value, replacement in private.items():
            text = text.replace(value, replacement)
        if any(value.lower() in text.lower() for value in private) or _CREDENTIAL.search(text):
            raise LeakError("The recording contains a credential; it was not written.")
        return text


def _operation_id(method: str, path: str) -> str:
    """Return the name of an operation, as in the API document.

    >>> _operation_id("GET", "…/regions/fr-par/crons"), _operation_id("PATCH", "…/regions/fr-par/crons/1")
    ('ListCrons', 'UpdateCron')
    """
    kind, *rest = path.split("/regions/")[1].split("/")[1:]
    if kind == "runtimes":
        return "ListFunctionRuntimes"
    if rest[1:]:
        return _SPECIAL[rest[1]]
    if method == "GET" and not rest:
        return f"List{kind.capitalize()}"
    return _WRITES.get(method, "Get") + kind.capitalize().removesuffix("s")


def _decode(content: bytes) -> object:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return content.decode(errors="replace")


def _without_signature(body: object) -> object:
    """Return a response without the query of a signed URL."""
    if isinstance(body, dict) and isinstance(url := body.get("url"), str):
        return {**body, "url": url.partition("?")[0]}
    return body
