"""Calls a deployed function over HTTP.

A local platform may serve HTTPS for domain names that do not resolve on this machine; the connection then goes to
the gateway's address with the function's name as the TLS server name.
"""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3 import PoolManager

from fnkit.client.endpoint import is_loopback
from fnkit.contract.platform import PlatformInfo
from fnkit.errors import InvokeError

_CONNECT_SECONDS: Final = 10.0


class HostOverrideAdapter(HTTPAdapter):
    """Sends ``name`` as the TLS server name and trusts a single certificate authority.

    The name need not resolve on this machine. The host name in the certificate is not checked: the local authority
    signs for its gateway only, and for an unknown function the gateway responds under its own name with an
    explanation.

    Args:
        name: Server name for TLS.
        ca_certificate: The authority's certificate (PEM).

    Raises:
        InvokeError: ``bad-ca-certificate``: the certificate cannot be read.
    """

    def __init__(self, name: str, ca_certificate: str) -> None:
        self._server_name = name
        self._ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ssl_context.check_hostname = False
        try:
            self._ssl_context.load_verify_locations(cadata=ca_certificate)
        except (ssl.SSLError, ValueError):
            raise InvokeError(
                "The CA certificate of the platform cannot be read.", code="bad-ca-certificate"
            ) from None
        super().__init__(max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: object) -> None:  # noqa: FBT001, FBT002  (the base class's)
        """Create the connection pool. Called by the base class; adds the TLS context and the server name."""
        del more
        self.poolmanager = PoolManager(
            num_pools=connections,
            maxsize=maxsize,
            block=block,
            ssl_context=self._ssl_context,
            server_hostname=self._server_name,
            assert_hostname=False,
        )


@dataclass(frozen=True, slots=True)
class FunctionResponse:
    """The response of a function. Repeated headers are repeated pairs."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def call_function(
    info: PlatformInfo | None,
    domain_name: str,
    *,
    method: str,
    target: str,
    headers: Sequence[tuple[str, str]],
    body: bytes,
    timeout: float,
    use_tls: bool = False,
) -> FunctionResponse:
    """Send one request to a function: directly on Scaleway, through the gateway on a local platform.

    Args:
        info: Description of the local platform; ``None`` for Scaleway.
        domain_name: The function's ``domain_name``, sent as ``Host``.
        method: HTTP method.
        target: Path with query, starting with ``/``, sent unchanged.
        headers: Name and value pairs; repeated names are joined with commas.
        body: Request body.
        timeout: Seconds without receiving a byte.
        use_tls: Use the local platform's HTTPS port if it has one, for functions that redirect plain HTTP.

    Raises:
        InvokeError: There was no response.
    """
    base = _base_url(info, domain_name, use_tls=use_tls)
    # The request must arrive as the user wrote it. requests would otherwise negotiate compression, follow
    # redirects, normalise the path (hence ``request.url`` below) and add credentials from ~/.netrc.
    sent_headers: dict[str, str] = {"Host": domain_name, "Accept-Encoding": "identity"}
    for name, value in headers:
        sent_headers[name] = f"{sent_headers[name]},{value}" if name in sent_headers else value
    with requests.Session() as session:
        session.trust_env = not is_loopback(base)
        session.auth = _no_auth
        session.mount("http://", HTTPAdapter(max_retries=0))
        if info is not None and info.ca_certificate:
            session.mount("https://", HostOverrideAdapter(domain_name, info.ca_certificate))
        request = session.prepare_request(requests.Request(method, base, headers=sent_headers, data=body or None))
        request.url = base + target
        settings = session.merge_environment_settings(base, {}, None, None, None)
        try:
            response = session.send(request, timeout=(_CONNECT_SECONDS, timeout), allow_redirects=False, **settings)
        except requests.RequestException as error:
            host = urlsplit(base).netloc
            raise InvokeError(
                f"{domain_name} did not answer ({type(error).__name__} at {host}).",
                code="function-unreachable",
                hint="`fnkit status` shows whether it is ready.",
            ) from None
    raw = response.raw.headers
    return FunctionResponse(response.status_code, tuple((str(k), str(v)) for k, v in raw.items()), response.content)


def _base_url(info: PlatformInfo | None, domain_name: str, *, use_tls: bool) -> str:
    if info is None:
        return f"https://{domain_name}"
    return info.gateway_tls_url if use_tls and info.gateway_tls_url else info.gateway_url


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Prevent requests from adding an Authorization header from ``~/.netrc``."""
    return request
