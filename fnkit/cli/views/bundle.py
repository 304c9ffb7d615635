"""Views of ``fnkit bundle`` and ``fnkit lock``: archives and lock files on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.bundler.dependencies.lockfile import Lock, LockedPackage
from fnkit.bundler.model import Bundle
from fnkit.cli.layout import NAME_STYLE, Column, Row, counted, print_note, print_table, print_wrapped, safe_text
from fnkit.cli.output import json_fields
from fnkit.cli.views.deploy import format_size

if TYPE_CHECKING:
    from rich.console import Console

_MAX_PACKAGES_SHOWN = 5


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
                    "groups": list(lock.groups),
                    "packages": [json_fields(one, "name", "version", "groups") for one in lock.packages],
                    "notes": lock.notes,
                }
                for lock in self.locks
            ]
        }

    def render(self, console: Console) -> None:
        """Print each lock file with a table of its packages."""
        if not self.locks:
            print_wrapped(console, "The project has no requirements, so there is nothing to lock.")
        for number, lock in enumerate(self.locks):
            packages = counted(len(lock.packages), "package")
            _print_file(console, str(lock.path), f"{lock.runtime} for {lock.target}, {packages}", number)
            columns = (Column("PACKAGE", NAME_STYLE), Column("VERSION"), *_group_columns(lock))
            rows = [Row((one.name, one.version, *_group_cells(lock, one))) for one in lock.packages]
            print_table(console, columns, rows, indent=2)
            for note in lock.notes:
                print_note(console, note)


@dataclass(frozen=True, slots=True)
class BundleView:
    """The archives that were built."""

    bundles: tuple[Bundle, ...]

    def to_json(self) -> dict[str, object]:
        """Return the keys documented in ``docs/cli.md``, and the slice of each function."""
        return {"bundles": [_bundle_to_json(one) for one in self.bundles]}

    def render(self, console: Console) -> None:
        """Print each archive with its functions and its largest packages."""
        for number, one in enumerate(self.bundles):
            size = f"{format_size(one.size)}, {format_size(one.unpacked_size)} unpacked"
            groups = f"; {_groups_text(one.groups)}" if one.groups else ""
            _print_file(console, str(one.path), f"{one.runtime} for {one.target}, {size}{groups}", number)
            functions = [Row((piece.function, piece.digest)) for piece in one.slices]
            print_table(console, (Column("FUNCTION", NAME_STYLE), Column("DIGEST", "dim")), functions, indent=2)
            _print_packages(console, one)
            for note in one.notes:
                print_note(console, note)


def _group_columns(lock: Lock) -> tuple[Column, ...]:
    return (Column("GROUPS", "dim"),) if lock.groups else ()


def _group_cells(lock: Lock, package: LockedPackage) -> tuple[str, ...]:
    return (", ".join(package.groups),) if lock.groups else ()


def _groups_text(groups: tuple[str, ...]) -> str:
    return f"group{'s' if len(groups) > 1 else ''} {', '.join(groups)}"


def _print_file(console: Console, path: str, facts: str, number: int) -> None:
    """Print the name of a file and what it is, with a line before all but the first."""
    if number:
        console.print()
    print_wrapped(console, safe_text(path, NAME_STYLE))
    print_wrapped(console, safe_text(facts, "dim"), indent=2)


def _print_packages(console: Console, bundle: Bundle) -> None:
    if not bundle.dependencies:
        return
    largest = sorted(bundle.dependencies, key=lambda dependency: -dependency.size)[:_MAX_PACKAGES_SHOWN]
    console.print()
    print_table(
        console,
        (Column("PACKAGE", NAME_STYLE), Column("VERSION"), Column("SIZE", right=True)),
        [Row((one.name, one.version, format_size(one.size))) for one in largest],
        indent=2,
    )
    hidden = len(bundle.dependencies) - len(largest)
    if hidden:
        print_wrapped(console, safe_text(f"and {counted(hidden, 'smaller one')}", "dim"), indent=2)


def _bundle_to_json(one: Bundle) -> dict[str, object]:
    return {
        "path": str(one.path),
        **json_fields(one, "digest", "size", "unpacked_size", "runtime", "target", "groups"),
        "functions": [piece.function for piece in one.slices],
        "slices": [
            {"function": piece.function, "digest": piece.digest, "whole": piece.whole_project_reason}
            for piece in one.slices
        ],
        "dependencies": [json_fields(dependency, "name", "version", "size") for dependency in one.dependencies],
        "notes": one.notes,
    }
