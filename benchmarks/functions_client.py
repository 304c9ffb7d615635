"""A client of the Functions API that waits as Scaleway's Go SDK does."""

from __future__ import annotations

import http.client
import io
import json
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from benchmarks.local_platform import LocalPlatform

__all__ = ["HANDLER", "FunctionsClient", "make_archive"]

HANDLER: Final = {"handler.py": "def handle(event, context):\n    return 'hello'\n"}
"""The files of a function that answers ``hello``."""
_API: Final = "/functions/v1beta1/regions/fr-par"
_TRANSIENT_STATUSES: Final = {"creating", "pending", "deleting"}


def make_archive(files: Mapping[str, str] = HANDLER) -> bytes:
    """Return a zip archive of these files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as target:
        for name, text in files.items():
            target.writestr(name, text)
    return content.getvalue()


@dataclass(frozen=True, slots=True)
class FunctionsClient:
    """A client of the API that waits as the Go SDK does.

    Attributes:
        platform: The platform.
        interval: Seconds between two reads of a resource whose status is not final.
        held: Whether it reads the resource itself, or finds it in a list.
    """

    platform: LocalPlatform
    interval: float
    held: bool = True

    def create(self, kind: str, **fields: object) -> str:
        """Create a resource and return its id."""
        return str(self._request("POST", kind, fields)["id"])

    def wait(self, kind: str, record_id: str) -> None:
        """Return when the status is final. Raise ``RuntimeError`` if that is not ``ready``."""
        while (status := self._status(kind, record_id)) in _TRANSIENT_STATUSES:
            time.sleep(self.interval)
        if status != "ready":
            message = self.read(kind, record_id).get("error_message")
            raise RuntimeError(f"{kind} {record_id} is {status}: {message}")

    def read(self, kind: str, record_id: str) -> dict[str, Any]:
        """Return a resource."""
        return self._request("GET", f"{kind}/{record_id}")

    def upload_and_deploy(self, function_id: str, archive: bytes) -> None:
        """Upload an archive and deploy it."""
        self.upload(function_id, archive)
        self.deploy(function_id)

    def upload(self, function_id: str, archive: bytes) -> None:
        """Upload an archive."""
        upload = self._request("GET", f"functions/{function_id}/upload-url?content_length={len(archive)}")
        parts = urlsplit(str(upload["url"]))
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        connection.request("PUT", f"{parts.path}?{parts.query}", archive)
        if connection.getresponse().status != http.HTTPStatus.OK:
            raise RuntimeError("the upload was refused")
        connection.close()

    def deploy(self, function_id: str) -> None:
        """Start the deployment of the last archive."""
        self._request("POST", f"functions/{function_id}/deploy", {})

    def _status(self, kind: str, record_id: str) -> str:
        if self.held:
            return str(self.read(kind, record_id)["status"])
        listed = self._request("GET", f"{kind}?page_size=100&order_by=created_at_desc")[kind]
        return str(next(one["status"] for one in listed if one["id"] == record_id))

    def _request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection(urlsplit(self.platform.status["api_url"]).netloc, timeout=60)
        content = None if body is None else json.dumps(body)
        connection.request(method, f"{_API}/{path}", content, {"X-Auth-Token": self.platform.status["secret_key"]})
        answer = connection.getresponse()
        document: dict[str, Any] = json.loads(answer.read())
        connection.close()
        if answer.status != http.HTTPStatus.OK:
            raise RuntimeError(f"{method} {path} returned {answer.status}: {document}")
        return document
