"""Uploads archives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fnkit.client.api import FunctionsApi
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.errors import DeployError

__all__ = ["ArchivePaths", "upload_archive"]

ArchivePaths = Mapping[str, Path]
"""Path of the zip file by digest."""


def upload_archive(api: FunctionsApi, function_id: str, archive: Path, limiter: AdaptiveLimiter) -> int:
    """Upload a function's archive and return its size in bytes. Idempotent.

    Raises:
        ApiError: The API or the object store rejected it.
        DeployError: The archive cannot be read.
    """

    def send() -> int:
        try:
            stream = archive.open("rb")
        except OSError as error:
            raise DeployError(
                f"The archive {archive.name} cannot be read: {error.strerror}.", code="archive-unreadable"
            ) from error
        with stream:
            size = archive.stat().st_size
            # Request a new URL for each attempt: a signed URL is valid for one content length and one hour.
            target = api.functions.upload_url(function_id, size)
            headers = {name: ",".join(values) for name, values in target.headers.items()}
            api.transport.upload(target.url, headers, stream, size)
        return size

    return limiter.call(send, idempotent=True)
