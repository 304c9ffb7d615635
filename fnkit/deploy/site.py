"""The platform that a deploy goes to, as far as the kit may know it (decision 4): its runtimes and targets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fnkit.bundler.target import Target
from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import RuntimeStatus
from fnkit.contract.platform import PlatformInfo
from fnkit.contract.resources import Runtime
from fnkit.deploy.pacing import Pace
from fnkit.errors import BundleError

__all__ = ["Site", "ask_site"]

_DEPLOYABLE = frozenset({RuntimeStatus.AVAILABLE, RuntimeStatus.DEPRECATED, RuntimeStatus.BETA})


@dataclass(frozen=True, slots=True)
class Site:
    """``info`` is our platform's own account of itself, ``None`` at Scaleway."""

    info: PlatformInfo | None
    runtimes: tuple[Runtime, ...]

    @property
    def kind(self) -> Literal["scaleway", "local"]:
        """Which lock and which wheels are meant."""
        return "scaleway" if self.info is None else "local"

    @property
    def available(self) -> frozenset[str]:
        """Runtimes that new functions can be made for; ours must also be able to run them."""
        listed = {runtime.name for runtime in self.runtimes if runtime.status in _DEPLOYABLE}
        if self.info is not None and self.info.targets:
            listed &= self.info.targets.keys()
        return frozenset(listed)

    def targets(self, runtimes: Iterable[str]) -> dict[str, Target]:
        """Return what each runtime's code will run on.

        Raises:
            BundleError: our platform has nothing that runs it.
        """
        return {runtime: self._target(runtime) for runtime in sorted(set(runtimes))}

    def _target(self, runtime: str) -> Target:
        if self.info is None:
            return Target.scaleway(runtime)
        description = self.info.targets.get(runtime)
        if description is None:
            known = ", ".join(sorted(self.info.targets)) or "none"
            raise BundleError(
                f"The platform on this machine has nothing that runs {runtime}.",
                code="runtime-not-here",
                hint=f"It runs: {known}.",
            )
        return Target.parse(runtime, description)


def ask_site(api: FunctionsApi, pace: Pace) -> Site:
    """Ask the endpoint what it is. Raises ``ApiError``."""
    info = pace.ask(api.platform, repeatable=True)
    return Site(info=info, runtimes=tuple(pace.ask(api.runtimes.list, repeatable=True)))
