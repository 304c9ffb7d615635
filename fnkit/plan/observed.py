"""What is live: the namespace, its functions, and what was learned of their secrets and crons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fnkit.contract.resources import Cron, Domain, Function, Namespace, Trigger

__all__ = ["LiveChildren", "Observed", "SecretVerdicts"]


@dataclass(frozen=True, slots=True)
class SecretVerdicts:
    """Which live hashes belong to the values at hand.

    ``same`` holds the (hash, name) pairs that were verified and agree; every other pair differs.
    """

    same: frozenset[tuple[str, str]] = frozenset()

    def agrees(self, hashed_value: str, name: str) -> bool:
        """Whether the live hash is of the value at hand."""
        return (hashed_value, name) in self.same


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveChildren:
    """What lies beneath one function."""

    crons: tuple[Cron, ...] = ()
    domains: tuple[Domain, ...] = ()
    triggers: tuple[Trigger, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The live state of one namespace by name.

    namespace: ``None`` when there is none. functions: all in it. children: by function id, for those whose lists
    were fetched; a function that is not a key was not asked about. slices: what this machine remembers of
    deployed slices, (path, sha256) by digest, so that a change of code can name its files.
    """

    namespace: Namespace | None = None
    functions: tuple[Function, ...] = ()
    children: Mapping[str, LiveChildren] = field(default_factory=dict)
    slices: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def function(self, name: str) -> Function | None:
        """Return the live function of that name."""
        return next((one for one in self.functions if one.name == name), None)
