"""View of ``fnkit login``, without the keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.cli.layout import NAME_STYLE, URL_STYLE, joined, print_fields, print_wrapped, safe_text
from fnkit.cli.output import json_fields

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginView:
    """Where credentials were saved, and whether the API accepted them."""

    path: Path
    profile: str
    project_id: str
    region: str
    api_url: str
    verified: bool

    def to_json(self) -> dict[str, object]:
        """Return ``path, profile, project_id, region, api_url, verified``."""
        return {
            "path": str(self.path),
            **json_fields(self, "profile", "project_id", "region", "api_url", "verified"),
        }

    def render(self, console: Console) -> None:
        """Print the file, the profile and where deploys go."""
        print_wrapped(console, "Saved the credentials.", label=safe_text("✓", "green"))
        url = safe_text(self.api_url, URL_STYLE)
        accepted = joined(url, " accepts them" if self.verified else " was not asked")
        print_fields(
            console,
            (
                ("Profile", safe_text(self.profile, NAME_STYLE)),
                ("File", str(self.path)),
                ("API", accepted),
                ("Project", self.project_id),
                ("Region", self.region),
            ),
            indent=2,
        )
