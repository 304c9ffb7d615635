"""Hostnames, paths and URLs under which functions and the platform are reachable."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fnkit.platform.model.settings import DataLayout, ProcessSettings

_SCALEWAY_SUFFIX: Final = "scw.cloud"
_SLUG_MAX: Final = 20


def gateway_url(settings: ProcessSettings) -> str:
    """Return the gateway's HTTP URL without a trailing slash."""
    return _build_url("http", settings.host, settings.gateway_port)


def gateway_tls_url(settings: ProcessSettings) -> str:
    """Return the gateway's HTTPS URL without a trailing slash, empty if TLS is disabled."""
    return _build_url("https", settings.host, settings.tls_port) if settings.tls_port else ""


def ca_certificate(settings: ProcessSettings) -> str:
    """Return the certificate of the local CA in PEM, empty if TLS is disabled or the file is missing."""
    if not settings.tls_port:
        return ""
    try:
        return DataLayout(Path(settings.data_dir)).ca_certificate_file.read_text("ascii")
    except (OSError, UnicodeDecodeError):
        return ""


def _build_url(scheme: str, host: str, port: int) -> str:
    """Build a URL. Replace an address that means "all interfaces", which clients cannot call, with loopback."""
    address = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)  # noqa: S104  (not bound here)
    return f"{scheme}://[{address}]:{port}" if ":" in address else f"{scheme}://{address}:{port}"


def namespace_slug(name: str) -> str:
    """Return the readable part of a namespace's DNS label: lower case, ``[a-z0-9]`` only, at most 20 characters.

    The rule is inferred from recorded traffic, where it holds for all 1,755 namespaces.

    >>> namespace_slug("tf-func-objective-panini")
    'tffuncobjectivepanin'
    """
    return re.sub(r"[^a-z0-9]", "", name.lower())[:_SLUG_MAX]


def domain_label(namespace_label: str, function_name: str) -> str:
    """Return the first DNS label of a function's host; ``namespace_label`` is the slug plus 8 random characters."""
    return f"{namespace_label}-{function_name}"


def domain_name(host_label: str, region: str, suffix: str) -> str:
    """Return ``<label>-<name>.functions.fnc.<region>.<suffix>``, the format recorded from the real API."""
    return f"{host_label}.functions.fnc.{region}.{suffix}"


def default_hostnames(host_label: str, region: str, suffix: str) -> tuple[str, ...]:
    """Return a function's default hostnames: with the platform's suffix and with Scaleway's.

    The gateway accepts both, so that a client that expects Scaleway's name can call the platform.
    """
    names = (domain_name(host_label, region, suffix), domain_name(host_label, region, _SCALEWAY_SUFFIX))
    return tuple(dict.fromkeys(name.lower() for name in names))


def is_default_hostname(name: str, region: str, suffix: str) -> bool:
    """Return whether a hostname has the form of a default hostname of the region, with either suffix.

    >>> is_default_hostname("a-b.functions.fnc.fr-par.localhost", "fr-par", "localhost")
    True
    >>> is_default_hostname("b.org", "fr-par", "x")
    False
    """
    return name.endswith(tuple(f".functions.fnc.{region}.{end}".lower() for end in (suffix, _SCALEWAY_SUFFIX)))


def path_prefix(region: str, namespace: str, function: str) -> str:
    """Return the path under which the gateway serves a function: ``/<region>/<namespace>/<function>``, encoded."""
    return f"/{region}/{quote(namespace, safe='')}/{function}"


def registry_endpoint(settings: ProcessSettings, label: str, region: str) -> str:
    """Return the address of a namespace's images, without a scheme, as ``docker pull`` takes it.

    With Scaleway's domain suffix it is the form recorded from the real API. Otherwise it is on ``localhost``, which
    container tools accept without TLS, and to which no secret key leaves this machine.
    """
    if settings.domain_suffix == _SCALEWAY_SUFFIX:
        return f"rg.{region}.{_SCALEWAY_SUFFIX}/{_registry_namespace(label)}"
    return f"localhost:{settings.api_port}/{_registry_namespace(label)}"


def repository_name(label: str, function_name: str) -> str:
    """Return the name of a function's images in the registry: ``funcscw<label>/<function>``."""
    return f"{_registry_namespace(label)}/{function_name}"


def _registry_namespace(label: str) -> str:
    return f"funcscw{label}"
