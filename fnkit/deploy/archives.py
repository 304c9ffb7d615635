"""Sends an archive to where the API says, and finds archives by what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fnkit.client.api import FunctionsApi
from fnkit.deploy.pacing import Pace
from fnkit.errors import DeployError

__all__ = ["Archives", "send_archive"]

Archives = Mapping[str, Path]
"""Content digest → the zip on disk."""


def send_archive(api: FunctionsApi, function_id: str, archive: Path, pace: Pace) -> int:
    """Upload a function's archive; return its size in bytes. Sending it twice does the same.

    Raises:
        ApiError: it was refused.
        DeployError: the archive is gone from the disk.
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
            # A new URL for each try: a signature is good for one length and one hour.
            target = api.functions.upload_url(function_id, size)
            headers = {name: ",".join(values) for name, values in target.headers.items()}
            api.transport.upload(target.url, headers, stream, size)
        return size

    return pace.ask(send, repeatable=True)
