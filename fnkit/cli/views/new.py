"""Views of ``fnkit new``: a new project, and the templates."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.cli.layout import (
    NAME_STYLE,
    Column,
    Row,
    joined,
    print_commands,
    print_table,
    print_text,
    print_wrapped,
    safe_text,
)
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
            print_text(console, safe_text(self.shown))
            return
        shown = safe_text(self.shown, NAME_STYLE)
        sentence = joined("Created ", shown, f" from template {self.template}:")
        print_wrapped(console, sentence, label=safe_text("✓", "green"), hanging=2)
        for name in self.files:
            print_wrapped(console, safe_text(name, "dim"), indent=2)
        console.print()
        change = [(f"cd {shlex.quote(self.shown)}", "")] if self.path != Path.cwd() else []
        deploy = ("fnkit deploy --local", "deploys it to a platform on this machine")
        dev = ("fnkit dev", "serves it, and each change as soon as it is saved")
        print_commands(console, "Next:", (*change, deploy, dev))


@dataclass(frozen=True, slots=True)
class TemplatesView:
    """The installed templates."""

    templates: tuple[Template, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``templates[{name, summary}]``."""
        return {"templates": [json_fields(template, "name", "summary") for template in self.templates]}

    def render(self, console: Console) -> None:
        """Print a table of the templates."""
        rows = [Row((template.name, template.summary)) for template in self.templates]
        print_table(console, (Column("TEMPLATE", NAME_STYLE), Column("PROJECT", wraps=True)), rows)
