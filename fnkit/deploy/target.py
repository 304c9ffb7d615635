"""The platform that a deploy goes to: its runtimes, the targets to bundle for, and the URLs of its functions.

Also what differs there from what the project asks for: runtimes, and settings without effect.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal
from urllib.parse import quote, urlsplit

from fnkit.bundler.target import BundleTarget
from fnkit.client.api import FunctionsApi
from fnkit.contract.platform import PlatformInfo
from fnkit.contract.resources import Runtime
from fnkit.contract.runtimes import substitute_for
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.errors import BundleError
from fnkit.project.model import FunctionSpec
from fnkit.project.runtimes import creatable_runtimes

NO_PRIVATE_NETWORK = "private_network_id has no effect on the local platform"
_RESOLVE_TIMEOUT_SECONDS: Final = 0.5


def function_url(info: PlatformInfo | None, domain_name: str, *, region: str, namespace: str, function: str) -> str:
    """Return the URL, ending in ``/``, under which to call a function from this machine: the first of its URLs."""
    return function_urls(info, domain_name, region=region, namespace=namespace, function=function)[0]


def function_urls(
    info: PlatformInfo | None, domain_name: str, *, region: str, namespace: str, function: str
) -> tuple[str, ...]:
    """Return the URLs of a function, ending in ``/``; the first is one that this machine can open.

    On Scaleway it is the function's domain name. On a local platform it is the domain name with the gateway's port
    if the name resolves here, otherwise the gateway's path form: not every resolver maps ``*.localhost`` to
    loopback.

    Args:
        info: Description of the local platform; ``None`` for Scaleway.
        domain_name: The function's ``domain_name``, without a port.
        region: Region, for the path form.
        namespace: Name of the namespace, for the path form.
        function: Name of the function, for the path form.
    """
    if info is None:
        return (f"https://{domain_name}/",)
    gateway = urlsplit(info.gateway_url)
    port = f":{gateway.port}" if gateway.port else ""
    by_name = f"{gateway.scheme}://{domain_name}{port}/"
    by_path = f"{info.gateway_url}/{region}/{quote(namespace, safe='')}/{function}/"
    return (by_name, by_path) if _is_resolvable(domain_name) else (by_path, by_name)


@cache
def _is_resolvable(hostname: str) -> bool:
    """Return whether this machine's resolver resolves a name. Cached for the process.

    ``getaddrinfo`` has no timeout of its own, so it runs in a daemon thread. A resolver that takes longer than half
    a second (no network, an unreachable name server) counts as a negative answer.
    """
    resolved: list[bool] = []

    def ask() -> None:
        try:
            socket.getaddrinfo(hostname, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        resolved.append(True)

    thread = threading.Thread(target=ask, name="resolve", daemon=True)
    thread.start()
    thread.join(_RESOLVE_TIMEOUT_SECONDS)
    return bool(resolved)


@dataclass(frozen=True, slots=True)
class DeployTarget:
    """A platform that can be deployed to. ``info`` is ``None`` for Scaleway."""

    info: PlatformInfo | None
    runtimes: tuple[Runtime, ...]

    @property
    def kind(self) -> Literal["scaleway", "local"]:
        """Which lock file and wheels to use."""
        return "scaleway" if self.info is None else "local"

    @property
    def secret_defaults(self) -> Mapping[str, str]:
        """Values of secrets that have no other: addresses and keys of a local platform's brokers."""
        return self.info.broker_variables if self.info is not None else {}

    @property
    def available_runtimes(self) -> frozenset[str]:
        """Runtimes that accept new functions and, on a local platform, that it can run."""
        listed = creatable_runtimes(self.runtimes)
        return listed & self.info.targets.keys() if self.info is not None and self.info.targets else listed

    def bundle_targets(self, runtimes: Iterable[str]) -> dict[str, BundleTarget]:
        """Return the bundle target of each runtime.

        Raises:
            BundleError: The local platform cannot run a runtime.
        """
        return {runtime: self._bundle_target(runtime) for runtime in sorted(set(runtimes))}

    def _bundle_target(self, runtime: str) -> BundleTarget:
        if self.info is None:
            return BundleTarget.scaleway(runtime)
        description = self.info.targets.get(runtime)
        if description is None:
            supported = ", ".join(sorted(self.info.targets)) or "none"
            raise BundleError(
                f"The platform on this machine cannot run {runtime}.",
                code="runtime-not-here",
                hint=f"It can run: {supported}.",
            )
        return BundleTarget.parse(runtime, description)


def discover_target(api: FunctionsApi, limiter: AdaptiveLimiter) -> DeployTarget:
    """Return what the endpoint can run.

    Raises:
        ApiError: The endpoint rejected a request or could not be reached.
    """
    info = limiter.call(api.platform_info)
    return DeployTarget(info=info, runtimes=tuple(limiter.call(api.list_runtimes)))


def runs_on(info: PlatformInfo | None, runtime: str) -> str:
    """Return what runs a runtime in place of its own version, as ``Python 3.11``; empty if nothing does."""
    return "" if info is None else substitute_for(runtime, info.targets.get(runtime, ""))


def local_notes(info: PlatformInfo | None, functions: Iterable[FunctionSpec]) -> tuple[str, ...]:
    """Return a sentence for each difference from what the functions ask for; none for Scaleway.

    Args:
        info: Description of the local platform; ``None`` for Scaleway.
        functions: The functions to deploy.
    """
    if info is None:
        return ()
    by_runtime: dict[str, list[str]] = {}
    networked: list[str] = []
    for function in functions:
        if runs_on(info, function.runtime):
            by_runtime.setdefault(function.runtime, []).append(function.name)
        if function.private_network_id and not info.private_networks:
            networked.append(function.name)
    notes = [
        f"{runtime}, run by {runs_on(info, runtime)} here: {', '.join(names)}."
        for runtime, names in sorted(by_runtime.items())
    ]
    if networked:
        notes.append(f"{NO_PRIVATE_NETWORK}: {', '.join(networked)}.")
    return tuple(notes)
