"""Views of ``fnkit secret``. None has a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fnkit.cli.layout import NAME_STYLE, Column, Row, joined, print_table, print_wrapped, safe_text
from fnkit.cli.output import json_fields
from fnkit.project.secrets import SecretOrigin

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class SecretsView:
    """The secrets of a project.

    Args:
        secrets: Where each value comes from.
        deployed: The deployed functions that have each secret; ``None`` if the API was not asked.
    """

    secrets: tuple[SecretOrigin, ...]
    deployed: Mapping[str, tuple[str, ...]] | None

    def to_json(self) -> dict[str, object]:
        """Return ``secrets[{name, origin, functions, declared, deployed}]``."""
        known = {one.name for one in self.secrets}
        listed = [
            {
                **json_fields(one, "name", "origin", "functions"),
                "declared": one.is_declared,
                "deployed": None if self.deployed is None else list(self.deployed.get(one.name, ())),
            }
            for one in self.secrets
        ]
        listed += [
            {"name": name, "origin": None, "functions": [], "declared": False, "deployed": list(functions)}
            for name, functions in (self.deployed or {}).items()
            if name not in known
        ]
        return {"secrets": listed}

    def render(self, console: Console) -> None:
        """Print a table of the secrets."""
        rows = self._rows()
        if not rows:
            print_wrapped(console, "The project has no secrets.")
        columns = [Column("SECRET", NAME_STYLE), Column("VALUE FROM"), Column("DECLARED BY")]
        if self.deployed is not None:
            columns.append(Column("DEPLOYED IN"))
        table = []
        for name, origin, functions, deployed in rows:
            value = safe_text(origin) if origin else safe_text("no value", "red")
            last = () if self.deployed is None else (", ".join(deployed) or "nothing",)
            table.append(Row((name, value, ", ".join(functions) or "nothing", *last)))
        print_table(console, columns, table)

    def _rows(self) -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
        deployed = self.deployed or {}
        known = {one.name for one in self.secrets}
        rows = [(one.name, one.shown_origin, one.functions, deployed.get(one.name, ())) for one in self.secrets]
        return rows + [(name, "", (), functions) for name, functions in deployed.items() if name not in known]


@dataclass(frozen=True, slots=True)
class SecretChangeView:
    """A secret whose value was set or removed in a file."""

    name: str
    file: str
    action: Literal["set", "unset"]

    def to_json(self) -> dict[str, object]:
        """Return ``name, file, action``."""
        return json_fields(self, "name", "file", "action")

    def render(self, console: Console) -> None:
        """Print what was done, and what makes it take effect."""
        name = safe_text(self.name, NAME_STYLE)
        if self.action == "unset":
            print_wrapped(console, joined("Removed ", name, f" from {self.file}."))
            return
        effect = f" in {self.file}. The next `fnkit deploy` sends it."
        print_wrapped(console, joined("Set ", name, effect))
