"""The URLs of the gateway and the certificate that clients need to trust for TLS."""

from __future__ import annotations

from pathlib import Path

from fnkit.platform.layout import DataLayout, ProcessSettings

__all__ = ["ca_certificate", "gateway_tls_url", "gateway_url"]


def gateway_url(settings: ProcessSettings) -> str:
    """Return the gateway's HTTP URL without a trailing slash."""
    return _build_url("http", settings.host, settings.gateway_port)


def gateway_tls_url(settings: ProcessSettings) -> str:
    """Return the gateway's HTTPS URL without a trailing slash, empty if TLS is disabled."""
    return _build_url("https", settings.host, settings.tls_port) if settings.tls_port else ""


def ca_certificate(settings: ProcessSettings) -> str:
    """Return the certificate of the local CA in PEM, empty if TLS is disabled or the file is missing."""
    try:
        return (
            DataLayout(Path(settings.data_dir)).ca_certificate_file.read_text("ascii") if settings.tls_port else ""
        )
    except (OSError, UnicodeDecodeError):
        return ""


def _build_url(scheme: str, host: str, port: int) -> str:
    """Build a URL. Replace an address that means "all interfaces", which clients cannot call, with loopback."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  (not bound here)
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"
