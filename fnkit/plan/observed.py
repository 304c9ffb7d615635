"""The live state of a namespace."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fnkit.contract.resources import Cron, Domain, Function, Namespace, Trigger

__all__ = ["AttachedResources", "ObservedState", "SecretMatches"]


@dataclass(frozen=True, slots=True)
class SecretMatches:
    """Live secret hashes that match the local values.

    Attributes:
        verified: Verified (hash, name) pairs. Every other pair is treated as different.
    """

    verified: frozenset[tuple[str, str]] = frozenset()

    def matches(self, hashed_value: str, name: str) -> bool:
        """Return whether a live hash is the hash of the local value."""
        return (hashed_value, name) in self.verified


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedResources:
    """The live crons, domains and triggers of one function."""

    crons: tuple[Cron, ...] = ()
    domains: tuple[Domain, ...] = ()
    triggers: tuple[Trigger, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedState:
    """The live state of one namespace.

    Attributes:
        namespace: ``None`` when it does not exist.
        functions: All functions in it, without those being deleted.
        attached_resources: Resources by function id, of the functions whose lists were fetched.
        deployed_slices: Pairs of path and SHA-256 by slice digest, of slices deployed from this machine, so that a
            plan can name the changed files.
    """

    namespace: Namespace | None = None
    functions: tuple[Function, ...] = ()
    attached_resources: Mapping[str, AttachedResources] = field(default_factory=dict)
    deployed_slices: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    def find_function(self, name: str) -> Function | None:
        """Return the live function of that name, or ``None``."""
        return next((one for one in self.functions if one.name == name), None)
