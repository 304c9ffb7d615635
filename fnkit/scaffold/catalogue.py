"""Lists and finds the templates of this installation."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from fnkit.errors import FnkitError, UsageError

_DEFAULT_TEMPLATE: Final = "http"

_TEMPLATE_FILE: Final = "template.toml"
_EVERY_PROJECT: Final = "every-project"
"""Folder of the files that every new project gets, such as the workflow for CI."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template.

    Attributes:
        name: Its name.
        summary: One line.
        folder: The folder of its files.
        language: The language of its functions, as in the table of runtimes.
        secrets: Names of the secrets of its functions.
    """

    name: str
    summary: str
    folder: Path
    language: str
    secrets: tuple[str, ...]

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders whose files make a project: those of every project, and the template's own."""
        return (self.folder.parent / _EVERY_PROJECT, self.folder)


def list_templates() -> tuple[Template, ...]:
    """Return all templates: the default one, then the others by name.

    Raises:
        FnkitError: The installation contains no templates (``templates-missing``).
    """
    folder = _templates_folder()
    found = [_load_template(path.parent) for path in folder.glob(f"*/{_TEMPLATE_FILE}")]
    return tuple(sorted(found, key=lambda template: (template.name != _DEFAULT_TEMPLATE, template.name)))


def find_template(name: str) -> Template:
    """Return the template with this name.

    Raises:
        UsageError: There is no such template (``unknown-template``). The hint names the closest one.
    """
    templates = {template.name: template for template in list_templates()}
    if name in templates:
        return templates[name]
    close = get_close_matches(name.lower(), templates, n=1)
    known = ", ".join(templates)
    raise UsageError(
        f"There is no template `{name}`.",
        code="unknown-template",
        hint=f"Did you mean `{close[0]}`? Templates: {known}." if close else f"Templates: {known}.",
    )


def _templates_folder() -> Path:
    """Return the folder of the templates.

    Wheels contain it inside this package. Editable installations do not map it there, so the repository's folder is
    used.
    """
    here = Path(__file__).resolve().parent
    for folder in (here / "templates", here.parent.parent / "templates"):
        if (folder / _DEFAULT_TEMPLATE / _TEMPLATE_FILE).is_file():
            return folder
    raise FnkitError(
        "This installation of fnkit contains no templates.",
        code="templates-missing",
        hint="Install fnkit again: `pip install --force-reinstall .` in a clone of it.",
    )


def _load_template(folder: Path) -> Template:
    description = tomllib.loads((folder / _TEMPLATE_FILE).read_text(encoding="utf-8"))
    return Template(
        folder.name,
        str(description["summary"]),
        folder,
        str(description["language"]),
        tuple(map(str, description.get("secrets", ()))),
    )
