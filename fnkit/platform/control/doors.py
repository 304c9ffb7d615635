"""Where this platform's functions answer, and whom a client must trust to call them over TLS."""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.layout import Layout, ProcessSettings

__all__ = ["ca_certificate", "gateway_tls_url", "gateway_url"]


def gateway_url(settings: ProcessSettings) -> str:
    """Return it without a trailing slash."""
    return _url("http", settings.host, settings.gateway_port)


def gateway_tls_url(settings: ProcessSettings) -> str:
    """Return it without a trailing slash, empty where TLS is switched off."""
    return _url("https", settings.host, settings.tls_port) if settings.tls_port else ""


def ca_certificate(settings: ProcessSettings) -> str:
    """Return the authority's certificate (PEM), empty where TLS is switched off or its file is gone."""
    try:
        return Layout(Path(settings.home)).authority_certificate.read_text("ascii") if settings.tls_port else ""
    except (OSError, UnicodeDecodeError):
        return ""


def _url(scheme: str, host: str, port: int) -> str:
    """Write the address; one that means "all of this machine's" is none that can be called."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  (not bound here)
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"
