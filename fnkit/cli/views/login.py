"""View of ``fnkit login``, without the keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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
        """Print the file, the profile and the next command."""
        how = f"{self.api_url} accepts them" if self.verified else "they were not verified"
        console.print(f"Saved the credentials of profile {self.profile} in {self.path}: {how}.")
        console.print(f"Deploys go to project {self.project_id} in {self.region}.")
