"""Says what differs on a local platform from what the project asks for: runtimes, and settings without effect."""

from __future__ import annotations

from collections.abc import Iterable

from fnkit.contract.platform import PlatformInfo
from fnkit.contract.runtimes import substitute_for
from fnkit.project.model import FunctionSpec

NO_PRIVATE_NETWORK = "private_network_id has no effect on the local platform"


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
