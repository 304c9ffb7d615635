"""The registry of images: the part of the OCI distribution API that reads.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md. Pushing is refused: images are made by
deployments. As at Scaleway, clients log in with any user name, usually ``nologin``, and an API key's secret as the
password. A repository of another project looks like one that does not exist. The nodes of a cluster have a key of
their own, which pulls the images of all projects by their names, and lists nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import BinaryIO, Final, TypeAlias
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from fnkit.errors import PlatformError
from fnkit.platform.control.api.http import encode, response_headers
from fnkit.platform.control.control_plane import ControlPlane
from fnkit.platform.control.images.manifest import Document, ManifestForm
from fnkit.platform.control.images.registry import StoredBlob
from fnkit.platform.control.resources.access import Principal

REGISTRY_PATH: Final = "/v2"
_CHUNK_BYTES: Final = 256 * 1024
_MAX_PAGE: Final = 1000
_BLOB_TYPE: Final = "application/octet-stream"
_INDEX_TYPE: Final = "application/vnd.oci.image.index.v1+json"
_logger = logging.getLogger(__name__)
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_RANGE: Final = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="fnkit"'}

RegistryHandler: TypeAlias = Callable[[ControlPlane, Request, Principal], Awaitable[Response]]


class RegistryError(Exception):
    """An error of the distribution API.

    Attributes:
        status: The HTTP status.
        code: A code of the specification, such as ``NAME_UNKNOWN``.
        headers: Further headers of the response.
    """

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}


async def handle(handler: RegistryHandler, plane: ControlPlane, request: Request) -> Response:
    """Return the response of one of ``REGISTRY_HANDLERS``, or of the error that it raised."""
    try:
        caller = request.state.caller = _authenticate(plane, request)
        _authorize(caller, handler)
        response = await handler(plane, request, caller)
    except RegistryError as error:
        return _error_response(error)
    except PlatformError as error:
        # The base of the image cannot be made. Clients show the message of a 404, but not that of a 5xx.
        _logger.warning("An image cannot be pulled: %s", error)
        return _error_response(
            RegistryError(404, "MANIFEST_UNKNOWN", f"{error.message} {error.hint or ''}".strip())
        )
    response.headers.update({"Docker-Distribution-Api-Version": "registry/2.0", **response_headers()})
    return response


def _authenticate(plane: ControlPlane, request: Request) -> Principal:
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    secret = b""
    if scheme.lower() == "basic":
        try:
            secret = base64.b64decode(credentials, validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            secret = b""
    caller = plane.api_keys.authenticate_puller(secret)
    if caller is None:
        text = "authentication required: log in as nologin, with the secret key of an API key as the password"
        raise RegistryError(401, "UNAUTHORIZED", text, _CHALLENGE)
    return caller


def _authorize(caller: Principal, handler: RegistryHandler) -> None:
    if caller.is_cluster and handler not in _PULLING:
        raise RegistryError(403, "DENIED", "this key pulls images, and nothing else")


def _error_response(error: RegistryError) -> Response:
    body = encode({"errors": [{"code": error.code, "message": str(error), "detail": None}]})
    headers = {"Docker-Distribution-Api-Version": "registry/2.0", **response_headers(), **error.headers}
    return Response(body, error.status, headers, "application/json")


async def _get_version(_plane: ControlPlane, _request: Request, _caller: Principal) -> Response:
    return Response(b"{}", media_type="application/json")


async def _list_repositories(plane: ControlPlane, request: Request, caller: Principal) -> Response:
    names, link = _page(request, plane.registry.repositories(caller.project_id), f"{REGISTRY_PATH}/_catalog")
    return Response(encode({"repositories": names}), headers=link, media_type="application/json")


async def _list_tags(plane: ControlPlane, request: Request, caller: Principal) -> Response:
    name = str(request.path_params["name"])
    tags = plane.registry.tags(name, caller.project_id)
    if not tags:
        raise _unknown_name(name)
    page, link = _page(request, tags, f"{REGISTRY_PATH}/{quote(name)}/tags/list")
    return Response(encode({"name": name, "tags": page}), headers=link, media_type="application/json")


def _page(request: Request, names: list[str], path: str) -> tuple[list[str], dict[str, str]]:
    """Return the names that the query's ``n`` and ``last`` select, and the link to the next page, if any."""
    text = request.query_params.get("n", str(_MAX_PAGE))
    if not text.isdecimal() or len(text) > len(str(_MAX_PAGE)) + 1:
        raise RegistryError(400, "PAGINATION_NUMBER_INVALID", "n must be a number from 0 to 9999")
    last = request.query_params.get("last", "")
    size = min(int(text), _MAX_PAGE)
    following = [name for name in names if name > last]
    page = following[:size]
    if not page or len(following) == len(page):
        return page, {}
    return page, {"Link": f'<{path}?last={quote(page[-1], safe="")}&n={size}>; rel="next"'}


async def _get_manifest(plane: ControlPlane, request: Request, caller: Principal) -> Response:
    name, reference = str(request.path_params["name"]), str(request.path_params["reference"])
    manifest = await plane.registry.find_manifest(name, reference, _accepted_form(request), caller.project_id)
    if manifest is None:
        if not plane.registry.tags(name, caller.project_id):
            raise _unknown_name(name)
        raise RegistryError(404, "MANIFEST_UNKNOWN", f"{name} has no image {reference[:128]}")
    return _document_response(request, manifest)


def _accepted_form(request: Request) -> ManifestForm:
    """Return Docker's form if the client accepts that and not the OCI's, as Docker did until 2022."""
    accepted = ",".join(request.headers.getlist("accept")).lower()
    is_docker = ManifestForm.DOCKER.media_type in accepted and ManifestForm.OCI.media_type not in accepted
    return ManifestForm.DOCKER if is_docker else ManifestForm.OCI


async def _get_blob(plane: ControlPlane, request: Request, caller: Principal) -> Response:
    name, digest = str(request.path_params["name"]), str(request.path_params["digest"])
    match = _DIGEST.fullmatch(digest)
    if match is None:
        raise RegistryError(400, "DIGEST_INVALID", "a digest is sha256: and 64 hexadecimal digits")
    blob = await plane.registry.find_blob(name, match[1], caller.project_id)
    if blob is None:
        raise RegistryError(404, "BLOB_UNKNOWN", f"{name} has no blob {digest}")
    if isinstance(blob, Document):
        return _document_response(request, blob)
    return _blob_response(request, blob)


def _document_response(request: Request, document: Document) -> Response:
    headers = {"Docker-Content-Digest": f"sha256:{document.digest}", "ETag": f'"sha256:{document.digest}"'}
    headers["Content-Length"] = str(len(document.content))
    content = b"" if request.method == "HEAD" else document.content
    return Response(content, headers=headers, media_type=document.media_type)


def _blob_response(request: Request, blob: StoredBlob) -> Response:
    size = blob.layer.size
    selected = _selected_range(request.headers.get("range", ""), size)
    digest = f"sha256:{blob.layer.digest}"
    headers = {"Docker-Content-Digest": digest, "ETag": f'"{digest}"', "Accept-Ranges": "bytes"}
    if selected is not None and not selected:
        blob.stream.close()
        headers["Content-Range"] = f"bytes */{size}"
        raise RegistryError(416, "RANGE_INVALID", "the range lies outside of the blob", headers)
    part = range(size) if selected is None else selected
    headers["Content-Length"] = str(len(part))
    status = 200
    if selected is not None:
        headers["Content-Range"] = f"bytes {part.start}-{part.stop - 1}/{size}"
        status = 206
    if request.method == "HEAD":
        blob.stream.close()
        return Response(b"", status, headers, _BLOB_TYPE)
    return StreamingResponse(_read(blob.stream, part), status, headers, _BLOB_TYPE)


def _selected_range(header: str, size: int) -> range | None:
    """Return the bytes that a ``Range`` header selects, empty if there are none, ``None`` for the whole blob.

    A header with several ranges, or one that is malformed, may be ignored (RFC 9110, section 14.2).
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:  # the last bytes
        return range(max(0, size - int(match[2])), size)
    first = int(match[1])
    last = min(int(match[2]), size - 1) if match[2] else size - 1
    return range(first, last + 1) if first <= last else range(0)


async def _read(stream: BinaryIO, part: range) -> AsyncIterator[bytes]:
    with stream:
        await asyncio.to_thread(stream.seek, part.start)
        left = len(part)
        while left:
            chunk = await asyncio.to_thread(stream.read, min(left, _CHUNK_BYTES))
            if not chunk:
                return  # the file was cut off; the client notices it by the length
            left -= len(chunk)
            yield chunk


async def _list_referrers(plane: ControlPlane, request: Request, caller: Principal) -> Response:
    """Return an index without entries: nothing is attached to an image here."""
    name = str(request.path_params["name"])
    if not plane.registry.tags(name, caller.project_id):
        raise _unknown_name(name)
    index = {"schemaVersion": 2, "mediaType": _INDEX_TYPE, "manifests": []}
    return Response(encode(index), media_type=_INDEX_TYPE)


async def _refuse(_plane: ControlPlane, request: Request, _caller: Principal) -> Response:
    if request.method in {"GET", "HEAD"}:
        raise RegistryError(404, "NAME_UNKNOWN", "the registry has nothing under this path")
    raise RegistryError(405, "UNSUPPORTED", "this registry is read-only: images are made by deploying functions")


def _unknown_name(name: str) -> RegistryError:
    return RegistryError(404, "NAME_UNKNOWN", f"there is no repository {name[:256]}")


_PULLING: Final = frozenset({_get_version, _get_manifest, _get_blob})
"""What a client calls to pull an image whose name it has."""
_READING: Final = ("GET", "HEAD")
REGISTRY_HANDLERS: Final[tuple[tuple[str, tuple[str, ...], str, RegistryHandler], ...]] = (
    ("GetRegistryVersion", _READING, f"{REGISTRY_PATH}/", _get_version),
    ("ListRepositories", _READING, f"{REGISTRY_PATH}/_catalog", _list_repositories),
    ("ListTags", _READING, REGISTRY_PATH + "/{name:path}/tags/list", _list_tags),
    ("GetManifest", _READING, REGISTRY_PATH + "/{name:path}/manifests/{reference}", _get_manifest),
    ("GetBlob", _READING, REGISTRY_PATH + "/{name:path}/blobs/{digest}", _get_blob),
    ("ListReferrers", _READING, REGISTRY_PATH + "/{name:path}/referrers/{digest}", _list_referrers),
    (
        "RefuseRegistryRequest",
        (*_READING, "POST", "PUT", "PATCH", "DELETE"),
        REGISTRY_PATH + "/{path:path}",
        _refuse,
    ),
)
"""Name in the request log, methods, path and handler of each route, in the order in which they are tried."""
