"""The names a function answers under."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

__all__ = ["domain_name", "is_native", "path_prefix", "registry_endpoint", "served_hosts"]

_CLOUD_SUFFIX: Final = "scw.cloud"


def domain_name(host_label: str, region: str, suffix: str) -> str:
    """``<label>-<name>.functions.fnc.<region>.<suffix>``, without port (2015 of 2015 recorded)."""
    return f"{host_label}.functions.fnc.{region}.{suffix}"


def served_hosts(host_label: str, region: str, suffix: str) -> tuple[str, ...]:
    """The platform's own spelling, and the cloud's (decision 23)."""
    names = (domain_name(host_label, region, suffix), domain_name(host_label, region, _CLOUD_SUFFIX))
    return tuple(dict.fromkeys(name.lower() for name in names))


def is_native(name: str, region: str, suffix: str) -> bool:
    """Whether a function of that region may have this name by itself, in either spelling.

    >>> is_native("a-b.functions.fnc.fr-par.localhost", "fr-par", "localhost"), is_native("b.org", "fr-par", "x")
    (True, False)
    """
    return name.endswith(tuple(f".functions.fnc.{region}.{end}".lower() for end in (suffix, _CLOUD_SUFFIX)))


def path_prefix(region: str, namespace: str, function: str) -> str:
    """The path form: ``/<region>/<namespace>/<function>``, percent-encoded."""
    return f"/{region}/{quote(namespace, safe='')}/{function}"


def registry_endpoint(label: str, region: str) -> str:
    """``rg.<region>.scw.cloud/funcscw<label>`` (1755 of 1755 recorded)."""
    return f"rg.{region}.{_CLOUD_SUFFIX}/funcscw{label}"
