"""What our platform says of itself at ``GET /fnkit/v1/platform``; a 404 there means Scaleway's own API."""

from __future__ import annotations

import msgspec

__all__ = ["PLATFORM_PATH", "PlatformInfo"]

PLATFORM_PATH = "/fnkit/v1/platform"


class PlatformInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The facts a client may use.

    ``targets`` maps a runtime to what runs it, as ``cpython-3.11-x86_64-linux-gnu``: implementation, version,
    machine, operating system, libc. The ``*_url`` fields have no trailing slash and are empty where the
    platform has no such door.
    """

    version: str
    gateway_url: str
    gateway_tls_url: str = ""
    console_url: str = ""
    targets: dict[str, str] = {}
