"""Redirects of plain HTTP requests to HTTPS, for functions with ``http_option: redirected``."""

from __future__ import annotations

from typing import Final

from fnkit.contract.invocation import MappedResponse
from fnkit.platform.gateway.requests import ClientRequest

__all__ = ["redirect_response"]

_HTTPS_PORT: Final = 443
_FIRST_VISIBLE: Final = 0x21
_LAST_VISIBLE: Final = 0x7E


def redirect_response(request: ClientRequest, tls_port: int) -> MappedResponse:
    """Return a 301 without a body, as Envoy's.

    A client that uses the gateway as an HTTP proxy gets no port in the location: it will send CONNECT for the name
    and port 443.
    """
    host, _, port = request.host.decode("latin-1").rpartition(":")
    if not host or not port.isdigit():
        host = request.host.decode("latin-1")
    target = bytes(request.target)
    if not target.startswith(b"/"):
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    elif tls_port != _HTTPS_PORT:
        host = f"{host}:{tls_port}"
    return MappedResponse(301, [("Location", f"https://{host}{_percent_encode(target)}")], b"")


def _percent_encode(target: bytes) -> str:
    return "".join(chr(byte) if _FIRST_VISIBLE <= byte <= _LAST_VISIBLE else f"%{byte:02X}" for byte in target)
