"""Views of ``fnkit new``: a new project, and the templates."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.cli.output import json_fields

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.scaffold import Template


@dataclass(frozen=True, slots=True)
class NewProjectView:
    """A new project.

    Args:
        path: Absolute path of the project.
        shown: The path as the user gave it.
        template: Name of the template.
        files: The files created, relative to the project.
        is_brief: Whether to print the path alone.
    """

    path: Path
    shown: str
    template: str
    files: tuple[str, ...]
    is_brief: bool = False

    def to_json(self) -> dict[str, object]:
        """Return ``path, template, files``."""
        return {"path": str(self.path), "template": self.template, "files": list(self.files)}

    def render(self, console: Console) -> None:
        """Print the files and the next commands."""
        if self.is_brief:
            console.print(self.shown)
            return
        console.print(f"Created {self.shown} from template {self.template}:")
        for name in self.files:
            console.print(f"  {name}")
        console.print("\nNext:")
        if self.path != Path.cwd():
            console.print(f"  cd {shlex.quote(self.shown)}", style="bold")
        console.print("  fnkit deploy --local", style="bold")


@dataclass(frozen=True, slots=True)
class TemplatesView:
    """The installed templates."""

    templates: tuple[Template, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``templates[{name, summary}]``."""
        return {"templates": [json_fields(template, "name", "summary") for template in self.templates]}

    def render(self, console: Console) -> None:
        """Print a line for each template."""
        width = max(len(template.name) for template in self.templates)
        for template in self.templates:
            console.print(f"{template.name:<{width}}  {template.summary}")
