"""Completions of arguments in a shell: names of functions, crons and triggers of the project, and so on.

They come from files alone: no API is called, no code of the project runs, and a project that cannot be read has no
completions. Modules are imported on use, since every command imports this one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from fnkit.project import Project


def complete_functions(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the functions of the project that begin with the word."""
    project = _load(context)
    return [] if project is None else _matching([one.name for one in project.functions], incomplete)


def complete_crons(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the crons of the project as ``function/name``, and functions with one cron."""
    project = _load(context)
    if project is None:
        return []
    return _source_names([(one.name, [cron.name for cron in one.crons]) for one in project.functions], incomplete)


def complete_triggers(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the triggers of the project as ``function/name``, and functions with one trigger."""
    project = _load(context)
    if project is None:
        return []
    names = [(one.name, [trigger.name for trigger in one.triggers]) for one in project.functions]
    return _source_names(names, incomplete)


def complete_secrets(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the names of the secrets that the project declares."""
    from fnkit.project.secrets import declared_secrets

    project = _load(context)
    return [] if project is None else _matching(declared_secrets(project), incomplete)


def complete_stages(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the stages that have a table in the settings."""
    from fnkit.errors import FnkitError
    from fnkit.project import find_root, read_settings

    root = find_root(_directory(context))
    if root is None:
        return []
    try:
        return _matching(read_settings(root).table.stages, incomplete)
    except FnkitError:
        return []


def complete_regions(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the regions of the API."""
    from fnkit.contract.limits import REGIONS

    return _matching(REGIONS, incomplete)


def complete_templates(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the templates of new projects."""
    from fnkit.scaffold import list_templates

    return _matching([one.name for one in list_templates()], incomplete)


def complete_error_codes(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """Return the error codes."""
    from fnkit.cli.error_table import error_explanations

    return _matching(error_explanations(), incomplete)


def _matching(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]


def _source_names(functions: list[tuple[str, list[str]]], incomplete: str) -> list[str]:
    """Return the names by which `fnkit cron` and `fnkit trigger` accept crons or triggers, given by function."""
    words = [function for function, names in functions if len(names) == 1]
    words += [f"{function}/{name}" for function, names in functions for name in names]
    return _matching(words, incomplete)


def _directory(context: click.Context) -> Path:
    given = context.params.get("directory") or context.find_root().params.get("directory")
    return Path(given or ".").absolute()


def _load(context: click.Context) -> Project | None:
    from fnkit.deploy.loading import load_project
    from fnkit.errors import FnkitError

    try:
        return load_project(_directory(context))
    except (FnkitError, OSError):
        return None
