"""What ``fnkit new`` made, and what to do with it."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.scaffold import Template

__all__ = ["NewProjectView", "TemplatesView"]


@dataclass(frozen=True, slots=True)
class NewProjectView:
    """A fresh project. ``path`` is absolute; ``shown`` is how the user called it; ``files`` are relative."""

    path: Path
    shown: str
    template: str
    files: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        """``path, template, files``."""
        return {"path": str(self.path), "template": self.template, "files": list(self.files)}

    def render(self, console: Console) -> None:
        """The files, then the next commands."""
        console.print(f"Made {self.shown} from the template {self.template}:")
        for name in self.files:
            console.print(f"  {name}")
        console.print("\nNext:")
        if self.path != Path.cwd():
            console.print(f"  cd {shlex.quote(self.shown)}", style="bold")
        console.print("  fnkit deploy --local", style="bold")


@dataclass(frozen=True, slots=True)
class TemplatesView:
    """The templates of this installation."""

    templates: tuple[Template, ...]

    def to_json(self) -> dict[str, object]:
        """``templates[{name, summary}]``."""
        return {"templates": [{"name": template.name, "summary": template.summary} for template in self.templates]}

    def render(self, console: Console) -> None:
        """One line each."""
        width = max(len(template.name) for template in self.templates)
        for template in self.templates:
            console.print(f"{template.name:<{width}}  {template.summary}")
