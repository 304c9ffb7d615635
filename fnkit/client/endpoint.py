"""The API endpoint and its credentials, from options, environment variables and Scaleway's configuration file."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlsplit

__all__ = ["DEFAULT_API_URL", "Endpoint", "is_loopback"]

DEFAULT_API_URL = "https://api.scaleway.com"

_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One Functions API, one of its regions, and credentials.

    Attributes:
        api_url: Without trailing slash.
        secret_key: Omitted from ``repr``.
        key_origin: Where the key comes from, for messages: ``"SCW_SECRET_KEY"``, ``"profile work"``,
            ``"the platform on this machine"``.
    """

    api_url: str
    secret_key: str = field(repr=False)
    project_id: str
    region: str
    key_origin: str

    @property
    def is_loopback(self) -> bool:
        """Whether the API is on this machine. Such an API is never reached through a proxy."""
        return is_loopback(self.api_url)

    @property
    def is_scaleway(self) -> bool:
        """Whether this is Scaleway's own host, which is never sent requests that only local platforms support."""
        host = urlsplit(self.api_url).hostname or ""
        return host == "api.scaleway.com" or host.endswith(".scaleway.com")


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is a loopback name or address. Does not resolve names."""
    host = (urlsplit(url).hostname or "").lower()
    return host in _LOOPBACK_HOSTS or host.endswith(".localhost") or host.startswith("127.")
