"""Upload and download of archives by signed URLs.

A URL needs no API key. Its signature covers the method, the function, the size and an expiry time. The last
complete upload counts.
"""

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
from fnkit.contract.resources import SignedUrl
from fnkit.platform.control.cleanup import GarbageCollector
from fnkit.platform.control.context import ControlContext
from fnkit.platform.control.errors import ControlError, invalid, not_found, required
from fnkit.platform.control.resources.functions import Functions
from fnkit.platform.control.store.blobs import Blob, BlobWriter

_INVALID_SIGNATURE: Final = "the signature of this URL is missing, wrong or expired; ask for a new URL"


class Uploads:
    """Creates signed URLs and handles requests to them.

    Args:
        context: Shared dependencies.
        functions: The operations on functions.
        garbage_collector: Removes archives that an upload replaces.
        key: The HMAC key of the signatures.
    """

    def __init__(
        self, context: ControlContext, functions: Functions, garbage_collector: GarbageCollector, key: bytes
    ) -> None:
        self._context = context
        self._functions = functions
        self._garbage_collector = garbage_collector
        self._key = key

    def upload_url(self, region: str, function_id: str, query: Mapping[str, str], base: str) -> SignedUrl:
        """Return a URL for the upload of one archive within the next hour of platform time.

        Args:
            region: The function's region.
            function_id: The function.
            query: ``content_length``: the size of the archive in bytes.
            base: URL of the API, without a trailing slash.

        Raises:
            ControlError: The function does not exist or is being deleted, or the size is invalid.
        """
        record = self._functions.get_writable(region, function_id)
        size = _parse_content_length(query.get("content_length"))
        return SignedUrl(
            url=self._signed_url(base, "PUT", record.id, size),
            headers={"content-length": [str(size)], "content-type": ["application/octet-stream"]},
        )

    def download_url(self, region: str, function_id: str, base: str) -> SignedUrl:
        """Return a URL for the download of the last complete upload within the next hour of platform time.

        Args:
            region: The function's region.
            function_id: The function.
            base: URL of the API, without a trailing slash.

        Raises:
            ControlError: The function does not exist or has no code.
        """
        record = self._functions.get_record(region, function_id)
        if record.archive is None:
            raise not_found("Function code")
        return SignedUrl(url=self._signed_url(base, "GET", record.id, 0), headers={})

    async def receive(self, function_id: str, query: Mapping[str, str], body: AsyncIterator[bytes]) -> Blob:
        """Store an uploaded archive. Nothing changes unless it is complete.

        Args:
            function_id: The function in the URL.
            query: The query of the URL, with its signature.
            body: The archive.

        Raises:
            ControlError: The signature is invalid or expired, or the body's size is not the announced one.
            OSError: The archive could not be written.
        """
        size = self._verify("PUT", function_id, query)
        if self._context.store.functions.get(function_id) is None:
            raise not_found("Function")
        writer = self._context.blobs.writer()
        try:
            await _copy_body(writer, body, size)
            blob = await asyncio.get_running_loop().run_in_executor(None, writer.finish)
            self._commit(function_id, writer, blob)
        except BaseException:
            writer.discard()
            raise
        return blob

    def archive_path(self, function_id: str, query: Mapping[str, str]) -> Path:
        """Return the path of the archive for a download.

        Args:
            function_id: The function in the URL.
            query: The query of the URL, with its signature.

        Raises:
            ControlError: The signature is invalid or expired, or the function has no code.
        """
        self._verify("GET", function_id, query)
        record = self._context.store.functions.get(function_id)
        if record is None or record.archive is None:
            raise not_found("Function code")
        return self._context.blobs.path(record.archive)

    def _commit(self, function_id: str, writer: BlobWriter, blob: Blob) -> None:
        store = self._context.store
        record = store.functions.get(function_id)
        if record is None:
            raise not_found("Function")
        # Do not await in between: the archive could be collected as garbage before the function refers to it.
        writer.commit()
        with store.transaction():
            store.functions.update(msgspec.structs.replace(record, archive=blob.sha256))
        if record.archive != blob.sha256:
            self._garbage_collector.remove_archive(record.archive)

    def _signed_url(self, base: str, method: str, function_id: str, size: int) -> str:
        expires = int(self._context.clock.now()) + UPLOAD_URL_SECONDS
        signed = {"size": str(size), "expires": str(expires)}
        query = urlencode({**signed, "signature": self._compute_signature(method, function_id, signed)})
        return f"{base}/uploads/function-{function_id}.zip?{query}"

    def _verify(self, method: str, function_id: str, query: Mapping[str, str]) -> int:
        signed = {"size": query.get("size", ""), "expires": query.get("expires", "")}
        # The signature is checked before the numbers are parsed: what is signed was written by this platform.
        expected = self._compute_signature(method, function_id, signed)
        is_ours = hmac.compare_digest(expected.encode(), query.get("signature", "").encode())
        if not is_ours or int(signed["expires"]) < self._context.clock.now():
            raise ControlError(403, _INVALID_SIGNATURE)
        return int(signed["size"])

    def _compute_signature(self, method: str, function_id: str, signed: Mapping[str, str]) -> str:
        text = "\n".join((method, function_id, signed["size"], signed["expires"]))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()


async def _copy_body(writer: BlobWriter, body: AsyncIterator[bytes], size: int) -> None:
    async for chunk in body:
        if writer.size + len(chunk) > size:
            raise ControlError(400, f"the body is larger than the announced content_length of {size} bytes")
        writer.write(chunk)
    if writer.size != size:
        raise ControlError(400, f"the body has {writer.size} bytes, not the announced content_length of {size}")


def _parse_content_length(text: str | None) -> int:
    if not text:
        raise required("content_length")
    if not (text.isascii() and text.isdigit()) or not int(text[:20]):
        raise invalid("content_length", "must be a whole number of bytes, at least 1")
    if int(text[:20]) > ARCHIVE_MAX_BYTES:
        raise invalid("content_length", f"must be at most {ARCHIVE_MAX_BYTES} bytes (100 MiB)")
    return int(text[:20])
