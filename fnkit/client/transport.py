"""One HTTP request to the API: sent, retried where that is safe, its failure told in our error tree.

Reads are retried on dropped connections and 429/502/503/504. Writes are retried only where the server cannot
have seen them (the connection was never made): what a repeated write would do is ``fnkit.deploy``'s to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import IO, Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from fnkit.client.endpoint import Endpoint, is_loopback
from fnkit.client.failures import failure_from_answer, failure_from_exception

__all__ = ["Query", "Transport"]

T = TypeVar("T")
Query = Mapping[str, str | int | None]

_CONNECT_SECONDS: Final = 10.0
_READ_SECONDS: Final = 60.0
_UPLOAD_SECONDS: Final = 900.0
_READ_RETRY: Final = Retry(
    total=4,
    connect=1,
    read=3,
    status=4,
    backoff_factor=0.3,
    status_forcelist=(429, 502, 503, 504),
    allowed_methods=frozenset({"GET", "HEAD"}),
    respect_retry_after_header=True,
    raise_on_status=False,
)
_CONNECTIONS: Final = 32


class Transport:
    """Sends requests to one endpoint. Safe to use from several threads."""

    def __init__(self, endpoint: Endpoint, *, user_agent: str) -> None:
        self.endpoint = endpoint
        self._session = requests.Session()
        # A proxy never stands between us and this machine (decision 15); netrc must not replace our token.
        self._session.trust_env = not endpoint.loopback
        self._session.headers.update({"User-Agent": user_agent, "Accept": "application/json"})
        adapter = HTTPAdapter(max_retries=_READ_RETRY, pool_connections=4, pool_maxsize=_CONNECTIONS)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def get(self, path: str, kind: type[T], query: Query | None = None) -> T:
        """GET a path under the region and decode the answer; raises ``ApiError``."""
        return self._decode(self._send("GET", self._regional(path), query=query), kind)

    def get_absolute(self, path: str, kind: type[T], query: Query | None = None) -> T:
        """GET a path of the API host, beside the Functions API; raises ``ApiError``."""
        return self._decode(self._send("GET", self.endpoint.api_url + path, query=query), kind)

    def post_absolute(self, path: str, kind: type[T], body: msgspec.Struct | None = None) -> T:
        """POST to a path of the API host, beside the Functions API; raises ``ApiError``."""
        payload = b"{}" if body is None else msgspec.json.encode(body)
        return self._decode(self._send("POST", self.endpoint.api_url + path, payload=payload), kind)

    def write(self, method: str, path: str, kind: type[T], body: msgspec.Struct | None = None) -> T:
        """POST, PATCH or DELETE a path under the region and decode the answer; raises ``ApiError``."""
        payload = msgspec.json.encode(body) if body is not None else (b"{}" if method != "DELETE" else None)
        return self._decode(self._send(method, self._regional(path), payload=payload), kind)

    def upload(self, url: str, headers: Mapping[str, str], archive: IO[bytes], size: int) -> None:
        """PUT an archive to a signed URL, which carries its own authorization; raises ``ApiError``."""
        sent = {"Content-Length": str(size), "Content-Type": "application/octet-stream", **headers}
        session = requests.Session()
        session.trust_env = not is_loopback(url)
        session.auth = _no_auth
        try:
            # An empty body would be sent chunked; an archive never is empty.
            answer = session.put(url, data=archive, headers=sent, timeout=(_CONNECT_SECONDS, _UPLOAD_SECONDS))
        except requests.RequestException as error:
            raise failure_from_exception(error, self.endpoint, "the upload") from None
        finally:
            session.close()
        if not _succeeded(answer):
            raise failure_from_answer(answer, self.endpoint, "the upload")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _regional(self, path: str) -> str:
        return f"{self.endpoint.api_url}/functions/v1beta1/regions/{self.endpoint.region}/{path}"

    def _send(
        self, method: str, url: str, *, query: Query | None = None, payload: bytes | None = None
    ) -> requests.Response:
        headers = {"X-Auth-Token": self.endpoint.secret_key}
        if payload is not None:
            headers["Content-Type"] = "application/json"
        try:
            answer = self._session.request(
                method,
                url,
                params={key: value for key, value in (query or {}).items() if value is not None},
                data=payload,
                headers=headers,
                auth=_no_auth,
                timeout=(_CONNECT_SECONDS, _READ_SECONDS),
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise failure_from_exception(error, self.endpoint, f"{method} {_short(url)}") from None
        if not _succeeded(answer):
            raise failure_from_answer(answer, self.endpoint, f"{method} {_short(url)}")
        return answer

    def _decode(self, answer: requests.Response, kind: type[T]) -> T:
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except msgspec.DecodeError:
            raise failure_from_answer(answer, self.endpoint, "the answer") from None


def _succeeded(answer: requests.Response) -> bool:
    """The API answers 200 alone; 2xx is what a signed URL of another store may say. A redirect is a failure."""
    return HTTPStatus.OK <= answer.status_code < HTTPStatus.MULTIPLE_CHOICES


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep ``~/.netrc`` from adding an Authorization header."""
    return request


def _short(url: str) -> str:
    """Return the path's part that tells a person what was asked."""
    return urlsplit(url).path.split("/regions/", 1)[-1].split("/", 1)[-1]
