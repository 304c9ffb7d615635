"""Views of ``fnkit bundle`` and ``fnkit lock``: archives and lock files on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.bundler.model import Bundle
from fnkit.cli.output import json_fields
from fnkit.cli.views.deploy import format_size

if TYPE_CHECKING:
    from rich.console import Console

_MAX_DEPENDENCIES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class LockView:
    """The lock files that were written."""

    locks: tuple[Lock, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``locks[{path, runtime, target, packages, notes}]``."""
        return {
            "locks": [
                {
                    "path": str(lock.path),
                    **json_fields(lock, "runtime", "target"),
                    "packages": [json_fields(one, "name", "version") for one in lock.packages],
                    "notes": lock.notes,
                }
                for lock in self.locks
            ]
        }

    def render(self, console: Console) -> None:
        """Print each lock file with its packages."""
        if not self.locks:
            console.print("The project has no requirements, so there is nothing to lock.")
        for lock in self.locks:
            console.print(f"{lock.path}  ({lock.runtime}, {lock.target})", style="bold")
            for one in lock.packages:
                console.print(f"  {one.name} {one.version}")
            for note in lock.notes:
                console.print(f"note: {note}", style="cyan")


@dataclass(frozen=True, slots=True)
class BundleView:
    """The archives that were built."""

    bundles: tuple[Bundle, ...]

    def to_json(self) -> dict[str, object]:
        """Return the keys documented in ``docs/cli.md``, and the slice of each function."""
        return {"bundles": [_bundle_to_json(one) for one in self.bundles]}

    def render(self, console: Console) -> None:
        """Print each archive with its functions and its largest dependencies."""
        for one in self.bundles:
            size = f"{format_size(one.size)}, {format_size(one.unpacked_size)} unpacked"
            console.print(f"{one.path}  ({one.runtime}, {one.target}; {size})", style="bold")
            for piece in one.slices:
                console.print(f"  {piece.function}  {piece.digest}")
            largest = sorted(one.dependencies, key=lambda dependency: -dependency.size)[:_MAX_DEPENDENCIES_SHOWN]
            for dependency in largest:
                console.print(
                    f"  {dependency.name} {dependency.version}  {format_size(dependency.size)}", style="dim"
                )
            hidden = len(one.dependencies) - len(largest)
            if hidden > 0:
                console.print(f"  and {hidden} smaller ones", style="dim")
            for note in one.notes:
                console.print(f"note: {note}", style="cyan")


def _bundle_to_json(one: Bundle) -> dict[str, object]:
    return {
        "path": str(one.path),
        **json_fields(one, "digest", "size", "unpacked_size", "runtime", "target"),
        "functions": [piece.function for piece in one.slices],
        "slices": [
            {"function": piece.function, "digest": piece.digest, "whole": piece.whole_project_reason}
            for piece in one.slices
        ],
        "dependencies": [json_fields(dependency, "name", "version", "size") for dependency in one.dependencies],
        "notes": one.notes,
    }
