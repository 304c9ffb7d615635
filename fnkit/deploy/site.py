"""The platform that a deploy goes to: its runtimes, the targets to bundle for, and the URLs of its functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fnkit.bundler.target import BundleTarget
from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import RuntimeStatus
from fnkit.contract.platform import PlatformInfo
from fnkit.contract.resources import Runtime
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.errors import BundleError

__all__ = ["DeployTarget", "discover_target"]

_DEPLOYABLE_STATUSES = frozenset({RuntimeStatus.AVAILABLE, RuntimeStatus.DEPRECATED, RuntimeStatus.BETA})


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
    def available_runtimes(self) -> frozenset[str]:
        """Runtimes that accept new functions and, on a local platform, that it can run."""
        listed = {runtime.name for runtime in self.runtimes if runtime.status in _DEPLOYABLE_STATUSES}
        if self.info is not None and self.info.targets:
            listed &= self.info.targets.keys()
        return frozenset(listed)

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
    info = limiter.call(api.platform_info, idempotent=True)
    return DeployTarget(info=info, runtimes=tuple(limiter.call(api.runtimes.list, idempotent=True)))
