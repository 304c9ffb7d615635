"""Where a deployed function answers, as this machine can open it (decision 23)."""

from __future__ import annotations

import socket
import threading
from functools import cache
from typing import Final
from urllib.parse import urlsplit

from fnkit.contract.platform import PlatformInfo

__all__ = ["function_url", "resolves_here"]

_PATIENCE_SECONDS: Final = 0.5


def function_url(info: PlatformInfo | None, domain_name: str, *, region: str, namespace: str, function: str) -> str:
    """Return a URL that this machine can open, ending in ``/``.

    At Scaleway that is the function's own name. At our platform it is the same with the gateway's port where
    names under ``localhost`` resolve, which not every machine does, else the path form.
    """
    if info is None:
        return f"https://{domain_name}/"
    gateway = urlsplit(info.gateway_url)
    if resolves_here(domain_name):
        port = f":{gateway.port}" if gateway.port else ""
        return f"{gateway.scheme}://{domain_name}{port}/"
    return f"{info.gateway_url}/{region}/{namespace}/{function}/"


@cache
def resolves_here(hostname: str) -> bool:
    """Whether this machine's own resolver knows the name: asked, never assumed.

    A resolver that thinks longer than half a second (no network, a dead name server) counts as a no.
    """
    answers: list[bool] = []

    def ask() -> None:
        try:
            socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        answers.append(True)

    asking = threading.Thread(target=ask, name="resolve", daemon=True)
    asking.start()
    asking.join(_PATIENCE_SECONDS)
    return bool(answers)
