"""Calls a deployed function over HTTP.

A local platform may serve HTTPS for domain names that do not resolve on this machine; the connection then goes to
the gateway's address with the function's name as the TLS server name.
"""

from __future__ import annotations

import ssl
import time
from typing import Any, Final
from urllib.parse import urlsplit

import requests

from fnkit.client.bounded_responses import (
    RESPONSE_MAX_BYTES,
    BoundedAdapter,
    BoundedSession,
    ResponseTooLarge,
    read_body,
)
from fnkit.client.endpoint import is_loopback
from fnkit.client.transport import no_auth
from fnkit.contract.invocation.response import MappedResponse
from fnkit.contract.platform import PlatformInfo
from fnkit.contract.resources import Function
from fnkit.errors import InvokeError
from fnkit.invoke.model import InvocationRequest, InvocationResult

_CONNECT_SECONDS: Final = 10.0
_RESPONSE_SECONDS: Final = 3660.0
"""For the whole response. The longest timeout of a function is an hour, to which its start may add."""


class HostOverrideAdapter(BoundedAdapter):
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

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Create the connection pools. Called by the base class; adds the TLS context and the server name."""
        options.update(ssl_context=self._ssl_context, server_hostname=self._server_name, assert_hostname=False)
        super().init_poolmanager(*args, **options)


def invoke_remote(info: PlatformInfo | None, function: Function, request: InvocationRequest) -> InvocationResult:
    """Send one request to a function: directly on Scaleway, through the gateway on a local platform.

    The target is sent unchanged, and repeated headers are joined with commas. A compressed body stays compressed.
    Of a local platform the HTTPS port is used, if it has one, for functions that redirect plain HTTP.

    Args:
        info: Description of the local platform; ``None`` for Scaleway.
        function: The function, whose ``domain_name`` is sent as ``Host``.
        request: The request.

    Returns:
        The response, without log lines. Repeated headers are repeated pairs.

    Raises:
        InvokeError: There was no response, or it is too large.
    """
    started_at = time.perf_counter()
    domain_name = function.domain_name
    base = _base_url(info, function)
    # The request must arrive as the user wrote it. requests would otherwise negotiate compression, follow
    # redirects, normalise the path (hence ``prepared.url`` below) and add credentials from ~/.netrc.
    sent_headers: dict[str, str] = {"Host": domain_name, "Accept-Encoding": "identity"}
    for name, value in request.headers:
        sent_headers[name] = f"{sent_headers[name]},{value}" if name in sent_headers else value
    with BoundedSession() as session:
        session.trust_env = not is_loopback(base)
        session.auth = no_auth
        session.mount("http://", BoundedAdapter())
        session.mount("https://", BoundedAdapter())
        if info is not None and info.ca_certificate:
            session.mount("https://", HostOverrideAdapter(domain_name, info.ca_certificate))
        prepared = session.prepare_request(
            requests.Request(request.method, base, headers=sent_headers, data=request.body or None)
        )
        prepared.url = base + request.target
        settings = session.merge_environment_settings(base, {}, stream=True, verify=None, cert=None)
        try:
            response = session.send(
                prepared,
                timeout=(_CONNECT_SECONDS, _RESPONSE_SECONDS),
                allow_redirects=False,
                **settings,
            )
            body = read_body(response)
        except ResponseTooLarge:
            raise InvokeError(
                f"The response of {domain_name} is larger than {RESPONSE_MAX_BYTES >> 20} MiB.",
                code="response-too-large",
            ) from None
        except requests.RequestException as error:
            host = urlsplit(base).netloc
            raise InvokeError(
                f"{domain_name} did not answer ({type(error).__name__} at {host}).",
                code="function-unreachable",
                hint="`fnkit status` shows whether it is ready.",
            ) from None
    headers = [(str(name), str(value)) for name, value in response.raw.headers.items()]
    return InvocationResult(
        response=MappedResponse(response.status_code, headers, body),
        duration_ms=round((time.perf_counter() - started_at) * 1000, 3),
        logs=(),
    )


def _base_url(info: PlatformInfo | None, function: Function) -> str:
    if info is None:
        return f"https://{function.domain_name}"
    use_tls = function.http_option == "redirected" and info.gateway_tls_url
    return info.gateway_tls_url if use_tls else info.gateway_url
