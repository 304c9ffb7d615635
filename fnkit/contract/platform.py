"""What our platform says of itself at ``GET /fnkit/v1/platform``; a 404 there means Scaleway's own API.

And its API keys, at ``/fnkit/v1/keys``.
"""

from __future__ import annotations

import msgspec

__all__ = [
    "KEYS_PATH",
    "NATS_ACCOUNT",
    "PLATFORM_PATH",
    "ApiKey",
    "ApiKeyList",
    "CreateApiKey",
    "PlatformInfo",
    "TriggerListening",
]

NATS_ACCOUNT = "AFNKIT".ljust(56, "0")
"""The NATS account of whoever has none: on our platform they need not exist."""

PLATFORM_PATH = "/fnkit/v1/platform"
KEYS_PATH = "/fnkit/v1/keys"


class TriggerListening(msgspec.Struct, frozen=True, kw_only=True):
    """How a trigger listens. state: ``listening``, ``idle`` (it has no broker) or ``trouble``; words say more."""

    id: str
    name: str
    state: str
    words: str


class PlatformInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The facts a client may use.

    ``targets`` maps a runtime to what runs it, as ``cpython-3.11-x86_64-linux-gnu``: implementation, version,
    machine, operating system, libc. The ``*_url`` fields have no trailing slash and are empty where the
    platform has no such door. ``ca_certificate`` (PEM) is the authority that the TLS door's certificates are
    signed by, empty where there is no such door or everybody trusts it anyway. ``nats_account`` is the account of
    NATS triggers that name none. ``triggers`` are all there are, shown to keys that are bound to no project.
    ``now`` is what its clock shows, in Unix seconds: it may be faster than others, or stand.
    """

    version: str
    gateway_url: str
    gateway_tls_url: str = ""
    ca_certificate: str = ""
    console_url: str = ""
    targets: dict[str, str] = {}
    nats_account: str = ""
    now: float | None = None
    triggers: list[TriggerListening] = []


class CreateApiKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """POST /fnkit/v1/keys. Without a project the key sees all of them."""

    read_only: bool | None = None
    project_id: str | None = None
    description: str | None = None


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A further key of the platform. ``secret_key`` is in the answer that makes it alone, ``None`` afterwards."""

    access_key: str
    secret_key: str | None
    read_only: bool
    project_id: str | None
    description: str
    created_at: str

    def __repr__(self) -> str:
        """Show its name alone."""
        return f"ApiKey({self.access_key!r})"


class ApiKeyList(msgspec.Struct, frozen=True, kw_only=True):
    """All further keys; there are no pages."""

    keys: list[ApiKey]
    total_count: int
