"""The templates of this installation: where they lie, what they are called, what each is for."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from fnkit.errors import FnkitError, UsageError

__all__ = ["DEFAULT_TEMPLATE", "Template", "find_template", "list_templates"]

DEFAULT_TEMPLATE: Final = "http"

_DESCRIPTION: Final = "template.toml"


@dataclass(frozen=True, slots=True)
class Template:
    """One template: its name, a line about it, and the folder that holds its files."""

    name: str
    summary: str
    folder: Path


def list_templates() -> tuple[Template, ...]:
    """Every template, the default first, then by name.

    Raises:
        FnkitError: ``templates-missing``, when the installation came without them.
    """
    folder = _templates_folder()
    found = [_read(path.parent) for path in folder.glob(f"*/{_DESCRIPTION}")]
    return tuple(sorted(found, key=lambda template: (template.name != DEFAULT_TEMPLATE, template.name)))


def find_template(name: str) -> Template:
    """The template called ``name``.

    Raises:
        UsageError: ``unknown-template``, naming the one that was probably meant.
    """
    templates = {template.name: template for template in list_templates()}
    if name in templates:
        return templates[name]
    close = get_close_matches(name.lower(), templates, n=1)
    known = ", ".join(templates)
    raise UsageError(
        f"There is no template `{name}`.",
        code="unknown-template",
        hint=f"Did you mean `{close[0]}`? There are: {known}." if close else f"There are: {known}.",
    )


def _templates_folder() -> Path:
    """The folder that the wheel carries, else the repository's: editable installs map no files (decision 40)."""
    here = Path(__file__).resolve().parent
    for folder in (here / "templates", here.parent.parent / "templates"):
        if (folder / DEFAULT_TEMPLATE / _DESCRIPTION).is_file():
            return folder
    raise FnkitError(
        "This installation of fnkit came without its templates.",
        code="templates-missing",
        hint="Install fnkit again: `pip install --force-reinstall fnkit`.",
    )


def _read(folder: Path) -> Template:
    description = tomllib.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    return Template(folder.name, str(description["summary"]), folder)
