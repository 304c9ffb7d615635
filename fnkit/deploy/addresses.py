"""URLs of deployed functions."""

from __future__ import annotations

import socket
import threading
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from fnkit.contract.platform import PlatformInfo

__all__ = ["function_url", "is_resolvable"]

_RESOLVE_TIMEOUT_SECONDS: Final = 0.5


def function_url(info: PlatformInfo | None, domain_name: str, *, region: str, namespace: str, function: str) -> str:
    """Return a URL, ending in ``/``, that this machine can open.

    On Scaleway it is the function's domain name. On a local platform it is the domain name with the gateway's port
    if the name resolves here, otherwise the gateway's path form: not every resolver maps ``*.localhost`` to
    loopback.

    Args:
        info: Description of the local platform; ``None`` for Scaleway.
        domain_name: The function's ``domain_name``, without a port.
        region: Region, for the path form.
        namespace: Name of the namespace, for the path form.
        function: Name of the function, for the path form.
    """
    if info is None:
        return f"https://{domain_name}/"
    gateway = urlsplit(info.gateway_url)
    if is_resolvable(domain_name):
        port = f":{gateway.port}" if gateway.port else ""
        return f"{gateway.scheme}://{domain_name}{port}/"
    return f"{info.gateway_url}/{region}/{namespace}/{function}/"


@cache
def is_resolvable(hostname: str) -> bool:
    """Return whether this machine's resolver resolves a name. Cached for the process.

    ``getaddrinfo`` has no timeout of its own, so it runs in a daemon thread. A resolver that takes longer than half
    a second (no network, an unreachable name server) counts as a negative answer.
    """
    resolved: list[bool] = []

    def ask() -> None:
        try:
            socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        resolved.append(True)

    thread = threading.Thread(target=ask, name="resolve", daemon=True)
    thread.start()
    thread.join(_RESOLVE_TIMEOUT_SECONDS)
    return bool(resolved)
