"""Asks for permission to run builds, which run code of the project or of its packages on this machine.

A project declares what may be built. That never suffices, because repositories are not trusted: before a build, its
``BuildRequest`` is shown to a callback of the caller, who knows what the person in front of fnkit has allowed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fnkit.errors import BundleError


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Builds that are about to run.

    Attributes:
        root: The project's directory.
        packages: Packages that would be built from source: their names, with versions where they are locked.
        commands: Commands of the project that would run.
        digests: A SHA-256 hex digest of each declaration that determines which code runs.
    """

    root: Path
    packages: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    digests: tuple[str, ...]

    def __str__(self) -> str:
        """Return what would happen: a clause whose subject is the project."""
        clauses = [f"runs `{command}`" for command in self.commands]
        if self.packages:
            clauses.insert(0, f"builds {', '.join(self.packages)} from source")
        return " and ".join(clauses)


AllowBuildsCallback = Callable[[BuildRequest], bool]


def refuse_builds(_request: BuildRequest) -> bool:
    """Allow no build."""
    return False


def declaration_digest(declaration: Sequence[object]) -> str:
    """Return the SHA-256 hex digest of a declaration."""
    return hashlib.sha256(msgspec.json.encode(declaration, order="deterministic")).hexdigest()


def require_permission(request: BuildRequest, allow_builds: AllowBuildsCallback) -> None:
    """Ask for permission.

    Raises:
        BundleError: ``builds-not-allowed``.
    """
    if allow_builds(request):
        return
    raise BundleError(
        f"The project {request}, which runs its code on this machine, and that is not allowed for it.",
        code="builds-not-allowed",
        hint="Review the settings and the lock file, then run `fnkit bundle --allow-builds`, or set "
        "FNKIT_ALLOW_BUILDS=1. `fnkit plan` and `fnkit status` never build; they use what was built.",
    )
