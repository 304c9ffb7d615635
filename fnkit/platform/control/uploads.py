"""Archives in and out by signed URLs (decision 24): no token, an end, a size; the last complete upload counts."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import msgspec

from fnkit.contract.limits import ARCHIVE_MAX_BYTES, UPLOAD_URL_SECONDS
from fnkit.contract.resources import DownloadUrl, UploadUrl
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.functions import Functions
from fnkit.platform.control.leftovers import Leftovers
from fnkit.platform.control.refusals import Refusal, invalid, not_found, required
from fnkit.platform.store.blobs import Blob, BlobWriter

__all__ = ["Uploads"]

_DENIED: Final = "the signature of this URL is missing, wrong or expired; ask for a new URL"


class Uploads:
    """Signed URLs and what goes through them. ``key`` signs; it never leaves the platform."""

    def __init__(self, context: ControlContext, functions: Functions, leftovers: Leftovers, key: bytes) -> None:
        self._context = context
        self._functions = functions
        self._leftovers = leftovers
        self._key = key

    def upload_url(self, region: str, function_id: str, query: Mapping[str, str], base: str) -> UploadUrl:
        """Return where to PUT an archive of ``content_length`` bytes within the next hour of platform time."""
        record = self._functions.writable(region, function_id)
        size = _content_length(query.get("content_length"))
        return UploadUrl(
            url=self._url(base, "PUT", record.id, size),
            headers={"content-length": [str(size)], "content-type": ["application/octet-stream"]},
        )

    def download_url(self, region: str, function_id: str, base: str) -> DownloadUrl:
        """Return where to GET the last complete upload within the next hour of platform time."""
        record = self._functions.record(region, function_id)
        if record.archive is None:
            raise not_found("Function code")
        return DownloadUrl(url=self._url(base, "GET", record.id, 0), headers={})

    async def receive(self, function_id: str, query: Mapping[str, str], body: AsyncIterator[bytes]) -> Blob:
        """Store an archive; nothing changes unless all of it came.

        Raises:
            Refusal: the URL does not allow it, or the size is another than was announced.
            OSError: the disk says no.
        """
        size = self._checked("PUT", function_id, query)
        self._alive(function_id)
        writer = self._context.blobs.writer()
        try:
            await _fill(writer, body, size)
            blob = await asyncio.get_running_loop().run_in_executor(None, writer.finish)
            self._keep(function_id, writer, blob)
        except BaseException:
            writer.discard()
            raise
        return blob

    def archive(self, function_id: str, query: Mapping[str, str]) -> Path:
        """Return the file that a signed download gives."""
        self._checked("GET", function_id, query)
        record = self._context.store.functions.get(function_id)
        if record is None or record.archive is None:
            raise not_found("Function code")
        return self._context.blobs.path(record.archive)

    def _keep(self, function_id: str, writer: BlobWriter, blob: Blob) -> None:
        store = self._context.store
        record = store.functions.get(function_id)
        if record is None:
            raise not_found("Function")
        # No await between the two: nobody can take the archive for a leftover before a function has it.
        writer.keep()
        with store.transaction():
            store.functions.update(msgspec.structs.replace(record, archive=blob.sha256))
        if record.archive != blob.sha256:
            self._leftovers.archive(record.archive)

    def _alive(self, function_id: str) -> None:
        if self._context.store.functions.get(function_id) is None:
            raise not_found("Function")

    def _url(self, base: str, method: str, function_id: str, size: int) -> str:
        expires = int(self._context.clock.now()) + UPLOAD_URL_SECONDS
        signed = {"size": str(size), "expires": str(expires)}
        query = urlencode({**signed, "signature": self._signature(method, function_id, signed)})
        return f"{base}/uploads/function-{function_id}.zip?{query}"

    def _checked(self, method: str, function_id: str, query: Mapping[str, str]) -> int:
        signed = {"size": query.get("size", ""), "expires": query.get("expires", "")}
        right = self._signature(method, function_id, signed)
        if not hmac.compare_digest(right.encode(), query.get("signature", "").encode()):
            raise Refusal(403, _DENIED)
        if int(signed["expires"]) < self._context.clock.now():
            raise Refusal(403, _DENIED)
        return int(signed["size"])

    def _signature(self, method: str, function_id: str, signed: Mapping[str, str]) -> str:
        text = "\n".join((method, function_id, signed["size"], signed["expires"]))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


async def _fill(writer: BlobWriter, body: AsyncIterator[bytes], size: int) -> None:
    async for chunk in body:
        if writer.size + len(chunk) > size:
            raise Refusal(400, f"the body is larger than the announced content_length of {size} bytes")
        writer.write(chunk)
    if writer.size != size:
        raise Refusal(400, f"the body has {writer.size} bytes, not the announced content_length of {size}")


def _content_length(text: str | None) -> int:
    if not text:
        raise required("content_length")
    if not (text.isascii() and text.isdigit()) or not int(text[:20]):
        raise invalid("content_length", "must be a whole number of bytes, at least 1")
    if int(text[:20]) > ARCHIVE_MAX_BYTES:
        raise invalid("content_length", f"must be at most {ARCHIVE_MAX_BYTES} bytes (100 MiB)")
    return int(text[:20])
