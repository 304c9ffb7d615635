"""The options of ``--engine kubernetes``: what they exclude, their grammar, and where the cluster is described."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from fnkit.contract.distribution import extra_install_hint
from fnkit.errors import PlatformError, UsageError
from fnkit.platform.model.settings import PlatformSettings, start_option

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Exists in a Pod that has an account in its cluster."""
_CLUSTER_SETTINGS: Final = ("kubeconfig", "kube_context", "kube_namespace", "kube_labels", "registry_host")
_LOCAL_SETTINGS: Final = {
    "isolation": "Pods isolate functions from each other",
    "memory_budget_mb": "the cluster decides how many Pods its nodes have memory for",
}
"""Settings of the engine of this machine → why they have no meaning with a cluster."""

# https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
_LABEL_MAX: Final = 63
_PREFIX_MAX: Final = 253
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_DNS_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_OWN_PREFIX: Final = "fnkit.dev"
_OWN_KEYS: Final = frozenset({"app.kubernetes.io/managed-by"})

# https://github.com/distribution/reference/blob/main/reference.go: without a dot, a port or ``localhost`` the first
# part of an image's name is not a host.
_HOST: Final = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:]+\]|[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*)"
    r"(:(?P<port>[0-9]{1,5}))?",
    re.ASCII,
)
_MAX_PORT: Final = 65535


def check_engine_options(settings: PlatformSettings, given: Mapping[str, object]) -> None:
    """Check the options of a cluster, and those that have no meaning with one.

    Args:
        settings: The settings that the options give.
        given: The options given, by the name of their setting.

    Raises:
        UsageError: An option is invalid, or has no meaning with the engine.
        PlatformError: ``kubernetes-missing``.
    """
    if settings.engine != "kubernetes":
        for name in _CLUSTER_SETTINGS:
            if name in given:
                raise UsageError(
                    f"{start_option(name).name} has no meaning without --engine kubernetes.",
                    hint="Add --engine kubernetes to run functions in a cluster.",
                )
        return
    for name, reason in _LOCAL_SETTINGS.items():
        if name in given:
            raise UsageError(
                f"{start_option(name).name} has no meaning with --engine kubernetes: {reason}.",
                hint="Leave it out.",
            )
    _check_registry_host(settings.registry_host)
    if "kube_namespace" in given and not _is_short(settings.kube_namespace, _DNS_LABEL):
        raise UsageError(
            f"--kube-namespace {settings.kube_namespace!r} is not the name of a namespace.",
            hint="It has at most 63 lowercase letters, digits and hyphens.",
        )
    for key, value in settings.kube_labels.items():
        _check_label(key, value)
    if find_spec("lightkube") is None:
        raise PlatformError(
            "The engine kubernetes needs the package lightkube, which is not installed.",
            code="kubernetes-missing",
            hint=f"Install the extra kubernetes: {extra_install_hint('kubernetes')}.",
        )


def _check_registry_host(host: str) -> None:
    if not host:
        raise UsageError(
            "--engine kubernetes needs --registry-host HOST[:PORT].",
            hint="Name the address by which the nodes of the cluster reach the platform's API port: they pull the "
            "images of functions from it. --host must let them in.",
        )
    match = _HOST.fullmatch(host)
    is_host = match is not None and (match["port"] or "." in host or host == "localhost" or host.startswith("["))
    if match is None or not is_host or not 0 < int(match["port"] or 1) <= _MAX_PORT:
        raise UsageError(
            f"--registry-host {host!r} is not HOST[:PORT].",
            hint="Use an address such as 10.0.0.5:8480 or registry.example.com, without http://. A name without a "
            "dot needs a port.",
        )


def _check_label(key: str, value: str) -> None:
    prefix, slash, name = key.rpartition("/")
    is_prefix = len(prefix) <= _PREFIX_MAX and all(_is_short(part, _DNS_LABEL) for part in prefix.split("."))
    if not _is_short(name, _NAME) or (slash and not is_prefix):
        raise UsageError(
            f"--kube-label {key!r} is not the key of a label.",
            hint="A key is [PREFIX/]NAME: at most 63 letters, digits, '-', '_' and '.', after a DNS name.",
        )
    if prefix == _OWN_PREFIX or key in _OWN_KEYS:
        raise UsageError(
            f"--kube-label {key} is a label of the platform itself.",
            hint=f"Use a key that is not below {_OWN_PREFIX}/.",
        )
    if value and not _is_short(value, _NAME):
        raise UsageError(
            f"--kube-label {key}={value} has no valid value.",
            hint="A value has at most 63 letters, digits, '-', '_' and '.', the first and the last no sign.",
        )


def _is_short(text: str, pattern: re.Pattern[str]) -> bool:
    return len(text) <= _LABEL_MAX and pattern.fullmatch(text) is not None


def find_kubeconfig(given: str, environ: Mapping[str, str], *, service_account: Path = SERVICE_ACCOUNT) -> str:
    """Return the absolute path of the file that describes the cluster; empty to use the account of this Pod.

    It is looked up when the platform starts, because its processes do not inherit the user's environment.

    Args:
        given: The value of ``--kubeconfig``; empty if it was not given.
        environ: The environment: the first file of ``KUBECONFIG`` counts, else ``.kube/config`` below ``HOME``.
        service_account: Directory that exists in a Pod with an account.

    Raises:
        UsageError: The file does not exist.
    """
    if given:
        path = Path(given)
    elif service_account.is_dir():
        return ""
    elif first := next(filter(None, environ.get("KUBECONFIG", "").split(":")), ""):
        path = Path(first)
    else:
        path = Path(environ.get("HOME") or Path.home()) / ".kube" / "config"
    if not path.is_file():
        raise UsageError(
            f"There is no file {path} that describes the cluster.",
            hint="Name one with --kubeconfig, or set KUBECONFIG.",
        )
    return str(path.absolute())
