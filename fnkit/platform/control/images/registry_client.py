"""Reads from the registry of an image, over the distribution API of the Open Container Initiative.

https://github.com/opencontainers/distribution-spec/blob/main/spec.md. Whatever a registry answers is read within
bounds of size and time. Credentials go to the registry, and to the server for tokens that it names, but to no host
that it redirects to; no message contains them, or a URL, which may be signed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urljoin, urlsplit

import msgspec

from fnkit.errors import PlatformError
from fnkit.platform.control.images.image_reference import ImageReference, invalid_image

if TYPE_CHECKING:
    import requests

_TIMEOUTS: Final = (10.0, 60.0)  # seconds to connect, and between two bytes of the response
_DOCUMENT_SECONDS: Final = 60.0
_MIN_BYTES_PER_SECOND: Final = 64 * 1024
_CHUNK_BYTES: Final = 256 * 1024
_MAX_REDIRECTS: Final = 5
_MAX_TOKEN_RESPONSE: Final = 1024 * 1024
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND, _TOO_MANY_REQUESTS = 200, 401, 403, 404, 429
_CHALLENGE: Final = re.compile(r"(?:^|,\s*)(?P<scheme>Bearer|Basic)(?:\s|$)", re.IGNORECASE)
_PARAMETER: Final = re.compile(r'([a-z]+)="([^"]*)"', re.IGNORECASE)
_TOKEN: Final = re.compile("[!-~]{1,65536}")
_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class _TokenResponse(msgspec.Struct, frozen=True):
    token: str = ""
    access_token: str = ""


class RegistryClient:
    """Reads manifests and blobs of one image. A context manager; blocks.

    Args:
        reference: The image.
        credentials: The value of a header, or ``None`` to be anonymous.
    """

    def __init__(self, reference: ImageReference, credentials: str | None) -> None:
        self._reference = reference
        self._credentials = credentials
        self._authorization: str | None = None
        self._session = _open_session(use_proxy=not reference.is_local)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._session.close()

    def read_manifest(self, name: str, accept: tuple[str, ...], max_bytes: int) -> tuple[bytes, str]:
        """Return a manifest, and its digest as the registry states it; empty if it does not.

        Args:
            name: Its tag or digest.
            accept: The accepted media types.
            max_bytes: The largest size.

        Raises:
            PlatformError: It does not exist, is too large, or cannot be had.
        """
        with self._open(f"manifests/{name}", ", ".join(accept)) as response:
            body = self._read_whole(response, max_bytes)
            return body, response.headers.get("Docker-Content-Digest", "")

    def read_blob(self, digest: str, size: int) -> Iterator[bytes]:
        """Yield a blob in pieces, at most as many bytes as it should have. Its digest is not checked.

        Raises:
            PlatformError: It does not exist, has another size, or cannot be had.
        """
        received = 0
        with self._open(f"blobs/{digest}", "*/*") as response:
            for chunk in self._read(response, _DOCUMENT_SECONDS + size / _MIN_BYTES_PER_SECOND):
                received += len(chunk)
                if received > size:
                    raise invalid_image(self._reference, f"{digest} is larger than the manifest says")
                yield chunk
        if received < size:
            raise self._unreachable("ended its response too early")

    @contextmanager
    def _open(self, path: str, accept: str) -> Iterator[requests.Response]:
        url = f"{self._reference.server}/v2/{self._reference.repository}/{path}"
        response = self._get(url, accept)
        try:
            if response.status_code == _UNAUTHORIZED and _origin(response.url) == _origin(url):
                challenge = response.headers.get("WWW-Authenticate", "")
                response.close()
                self._authorization = self._authorize(challenge)
                response = self._get(url, accept)
            self._check_status(response.status_code)
            yield response
        finally:
            response.close()

    def _get(self, url: str, accept: str) -> requests.Response:
        """Request a URL of the registry, and follow redirects without credentials for other hosts."""
        origin = _origin(url)
        for _ in range(_MAX_REDIRECTS + 1):
            headers = {"Accept": accept}
            if self._authorization and _origin(url) == origin:
                headers["Authorization"] = self._authorization
            response = self._send(url, headers)
            if response.status_code not in _REDIRECTS:
                return response
            target = response.headers.get("Location", "")
            response.close()
            url = self._follow(url, target)
        raise invalid_image(self._reference, f"its registry redirects more than {_MAX_REDIRECTS} times")

    def _follow(self, url: str, target: str) -> str:
        try:
            found = urljoin(url, target)
            scheme = urlsplit(found).scheme
        except ValueError:
            scheme = found = ""
        allowed = {"https", "http"} if url.startswith("http:") else {"https"}
        if scheme not in allowed or not target:
            raise invalid_image(self._reference, "its registry redirects to something that is not a secure URL")
        return found

    def _send(
        self, url: str, headers: dict[str, str], parameters: dict[str, str] | None = None
    ) -> requests.Response:
        import requests

        try:
            return self._session.get(
                url, headers=headers, params=parameters, stream=True, allow_redirects=False, timeout=_TIMEOUTS
            )
        except (requests.RequestException, ValueError) as error:
            raise self._unreachable(_describe(error)) from None

    def _read(self, response: requests.Response, seconds: float) -> Iterator[bytes]:
        """Yield a body as it arrives, not decoded."""
        import urllib3

        deadline = time.monotonic() + seconds
        while True:
            try:
                chunk: bytes = response.raw.read1(_CHUNK_BYTES, decode_content=False)
            except urllib3.exceptions.ReadTimeoutError:
                raise self._unreachable("timed out") from None
            except (urllib3.exceptions.HTTPError, OSError):
                raise self._unreachable("ended its response too early") from None
            if not chunk:
                return
            yield chunk
            if time.monotonic() > deadline:
                raise self._unreachable(f"is slower than {_MIN_BYTES_PER_SECOND >> 10} KiB per second")

    def _read_whole(self, response: requests.Response, max_bytes: int) -> bytes:
        body = bytearray()
        for chunk in self._read(response, _DOCUMENT_SECONDS):
            body += chunk
            if len(body) > max_bytes:
                raise invalid_image(
                    self._reference, f"its registry sent a document of more than {max_bytes >> 20} MiB"
                )
        return bytes(body)

    def _authorize(self, challenge: str) -> str:
        """Return the ``Authorization`` that the registry asks for."""
        found = {match["scheme"].lower(): match.end() for match in _CHALLENGE.finditer(challenge)}
        if "bearer" in found:
            parameters = dict(_PARAMETER.findall(challenge[found["bearer"] :]))
            return f"Bearer {self._request_token(parameters)}"
        if "basic" in found and self._credentials:
            return self._credentials
        raise self._denied()

    def _request_token(self, parameters: dict[str, str]) -> str:
        realm = parameters.get("realm", "")
        if not self._is_safe(realm):
            raise invalid_image(self._reference, "its registry names a server for tokens that is not a secure URL")
        headers = {"Authorization": self._credentials} if self._credentials else {}
        # The scope is ours: a token for more than this image could be asked for otherwise.
        query = {"scope": f"repository:{self._reference.repository}:pull"}
        if parameters.get("service"):
            query["service"] = parameters["service"]
        response = self._send(realm, headers, query)
        try:
            self._check_status(response.status_code)
            body = self._read_whole(response, _MAX_TOKEN_RESPONSE)
        finally:
            response.close()
        try:
            decoded = msgspec.json.decode(body, type=_TokenResponse)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            raise invalid_image(self._reference, "its registry issues no token that can be read") from None
        token = decoded.token or decoded.access_token
        if not _TOKEN.fullmatch(token):
            raise invalid_image(self._reference, "its registry issues no token that can be read")
        return token

    def _is_safe(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
            host = parts.hostname or ""
        except ValueError:
            return False
        is_local = self._reference.is_local and parts.scheme == "http" and host in _LOOPBACK_NAMES
        return bool(host) and (parts.scheme == "https" or is_local)

    def _check_status(self, status: int) -> None:
        if status == _OK:
            return
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            raise self._denied()
        if status == _NOT_FOUND:
            raise PlatformError(
                f"The base image {self._reference} does not exist.",
                code="base-image-not-found",
                hint="Check its name and tag, and that all of it was pushed.",
            )
        if status == _TOO_MANY_REQUESTS:
            raise self._unreachable("limits how often images are pulled")
        raise self._unreachable(f"answered with status {status}")

    def _denied(self) -> PlatformError:
        who = "with the stored credentials" if self._credentials else "without credentials"
        return PlatformError(
            f"The registry does not give the base image {self._reference} to anybody {who}.",
            code="base-image-denied",
            hint=(
                "Check its name: registries deny what does not exist. Credentials are read from the auths of "
                "~/.docker/config.json, where `docker login` stores them without a credential helper."
            ),
        )

    def _unreachable(self, reason: str) -> PlatformError:
        return PlatformError(
            f"The base image {self._reference} cannot be pulled: the registry {reason}.",
            code="base-image-unreachable",
            hint="Try again later; complete layers are kept. Check the network, and the proxy if there is one.",
        )


def _open_session(*, use_proxy: bool) -> requests.Session:
    import requests

    class Session(requests.Session):
        def get_redirect_target(self, resp: requests.Response) -> None:
            # Otherwise requests reads the whole body of a redirect, even with ``allow_redirects=False``.
            del resp

    session = Session()
    session.trust_env = use_proxy
    session.auth = _no_auth  # requests would send what ~/.netrc has for a host
    session.headers.update({"User-Agent": "fnkit", "Accept-Encoding": "identity"})
    return session


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _describe(error: Exception) -> str:
    """Return what happened, without the message of the error: it contains URLs."""
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return "has no certificate that this machine trusts"
    if isinstance(error, requests.exceptions.ProxyError):
        return "cannot be reached through the proxy"
    if isinstance(error, requests.Timeout):
        return "timed out"
    if isinstance(error, requests.ConnectionError):
        return "cannot be reached"
    return "sent an invalid response"
