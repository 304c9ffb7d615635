"""Where to deploy, and with whose key."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["DEFAULT_API_URL", "Endpoint", "is_loopback"]

DEFAULT_API_URL = "https://api.scaleway.com"

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One Functions API, one region of it, and the credentials for it.

    api_url has no trailing slash. origin says in words where the key came from, for messages
    (``"SCW_SECRET_KEY"``, ``"profile work"``, ``"the platform on this machine"``).
    """

    api_url: str
    secret_key: str = field(repr=False)
    project_id: str
    region: str
    origin: str

    @property
    def loopback(self) -> bool:
        """Whether the API is on this machine: never asked through a proxy (decision 15)."""
        return is_loopback(self.api_url)

    @property
    def is_scaleway(self) -> bool:
        """Whether this is Scaleway's own host, which is never asked for our platform's facts (decision 4)."""
        host = urlsplit(self.api_url).hostname or ""
        return host == "api.scaleway.com" or host.endswith(".scaleway.com")


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine by name."""
    host = (urlsplit(url).hostname or "").lower()
    return host in _LOOPBACK or host.endswith(".localhost") or host.startswith("127.")
