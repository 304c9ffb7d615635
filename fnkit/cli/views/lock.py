"""View of ``fnkit lock``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.bundler import Lock

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["LockView"]


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
                    "runtime": lock.runtime,
                    "target": lock.target,
                    "packages": [{"name": one.name, "version": one.version} for one in lock.packages],
                    "notes": list(lock.notes),
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
