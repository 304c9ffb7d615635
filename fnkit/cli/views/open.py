"""View of ``fnkit open``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.layout import URL_STYLE, print_wrapped, safe_text
from fnkit.cli.output import json_fields

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class FunctionUrlView:
    """The URL of a function, and whether a browser opened it."""

    name: str
    url: str
    opened: bool

    def to_json(self) -> dict[str, object]:
        """Return ``name, url, opened``."""
        return json_fields(self, "name", "url", "opened")

    def render(self, console: Console) -> None:
        """Print the URL alone, for ``$(fnkit open --print)``."""
        print_wrapped(console, safe_text(self.url, URL_STYLE))
