"""Upload and download of function archives. The signed query replaces the API key, as with S3 presigned URLs."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from fnkit.platform.api.answers import response_headers
from fnkit.platform.control.platform import ControlPlane

__all__ = ["ARCHIVE_PATH", "download_archive", "upload_archive"]

ARCHIVE_PATH: Final = "/uploads/function-{id}.zip"


async def upload_archive(plane: ControlPlane, request: Request) -> Response:
    """Store an uploaded archive. Like the real API, return 200, an empty body and an ``Etag``; ignore headers."""
    blob = await plane.uploads.receive(request.path_params["id"].lower(), request.query_params, request.stream())
    return Response(None, 200, {**response_headers(), "Etag": f'"{blob.md5}"'})


async def download_archive(plane: ControlPlane, request: Request) -> Response:
    """Return the last complete upload."""
    file = plane.uploads.archive_path(request.path_params["id"].lower(), request.query_params)
    return FileResponse(file, headers=response_headers(), media_type="application/octet-stream")
