"""The settings of uv that a project may choose.

uv takes its settings from ``[tool.uv]`` or ``uv.toml`` of the directory it runs in, among them some that run code
or write files: packages to build from source, the interpreter, the cache directory. A repository must not choose
those. So uv runs in a directory of its own, whose ``uv.toml`` contains what concerns indexes and versions only. The
user's own settings apply as always.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeAlias, cast

import msgspec

from fnkit.contract.toml_value import toml_value
from fnkit.project.package_sources import PackageIndexes, find_workspace

UvSettings: TypeAlias = Mapping[str, object]

REQUIREMENTS_PROJECT: Final = "fnkit-requirements"
"""The name of the project that uv is given for packages from certain indexes. Messages of uv have it."""

_VERSION_SETTINGS: Final = (
    "prerelease",
    "resolution",
    "exclude-newer",
    "index-strategy",
    "no-index",
    "keyring-provider",
)
_LOCATION_SETTINGS: Final = ("index", "index-url", "extra-index-url", "find-links")
_PIP_SETTINGS: Final = (*_VERSION_SETTINGS, *_LOCATION_SETTINGS)
_PROJECT_SETTINGS: Final = (
    *_PIP_SETTINGS,
    "exclude-newer-package",
    "constraint-dependencies",
    "override-dependencies",
)


def project_uv_settings(root: Path) -> UvSettings:
    """Return uv's settings of the nearest directory that has any, from the project or its workspace upwards.

    A file that cannot be read has none: ``fnkit.project`` reports it when it reads its own settings.
    """
    start = find_workspace(root) or root
    for directory in (start, *start.parents):
        for name in ("uv.toml", "pyproject.toml"):
            try:
                document = tomllib.loads((directory / name).read_text("utf-8"))
            except (OSError, ValueError, RecursionError):
                continue
            settings = document if name == "uv.toml" else document.get("tool", {}).get("uv")
            if isinstance(settings, dict):
                return _allowed(settings, directory)
    return {}


def _allowed(settings: Mapping[str, object], directory: Path) -> UvSettings:
    allowed = _select(settings, _PROJECT_SETTINGS, directory)
    pip = settings.get("pip")
    if isinstance(pip, dict) and (kept := _select(pip, _PIP_SETTINGS, directory)):
        allowed["pip"] = kept
    # Dates become text, which uv accepts as well.
    return cast("UvSettings", msgspec.to_builtins(allowed, str_keys=True))


def _select(settings: Mapping[str, object], names: Iterable[str], directory: Path) -> dict[str, object]:
    return {
        name: _located(settings[name], directory) if name in _LOCATION_SETTINGS else settings[name]
        for name in names
        if name in settings
    }


def _located(value: object, directory: Path) -> object:
    """Return the location of an index, or several, with relative paths made absolute."""
    if isinstance(value, list):
        return [_located(one, directory) for one in value]
    if isinstance(value, dict):
        return {key: _located(one, directory) if key == "url" else one for key, one in value.items()}
    return os.fspath(directory / value) if isinstance(value, str) and "://" not in value else value


def write_uv_settings(settings: UvSettings, folder: Path) -> None:
    """Write a ``uv.toml``, which uv finds when it runs in the folder."""
    lines = [f"{name} = {toml_value(value)}\n" for name, value in settings.items()]
    (folder / "uv.toml").write_text("".join(lines), "utf-8")


def write_package_indexes(settings: UvSettings, indexes: PackageIndexes, folder: Path) -> Path:
    """Write a project that requires packages from certain indexes, which a list of requirements cannot say.

    Args:
        settings: Those of the project, which declare the indexes.
        indexes: The indexes of each package, by their names.
        folder: Where to write it.

    Returns:
        Its ``pyproject.toml``.
    """
    declared = settings.get("index")
    sources = {
        name: [{"index": one.index, **({"marker": one.marker} if one.marker else {})} for one in alternatives]
        for name, alternatives in indexes.items()
    }
    tables: dict[str, dict[str, object]] = {
        "project": {"name": REQUIREMENTS_PROJECT, "version": "0", "dependencies": list(indexes)},
        "tool.uv": {
            "index": [one for one in declared if isinstance(one, dict)] if isinstance(declared, list) else [],
            "sources": sources,
        },
    }
    lines: list[str] = []
    for table, values in tables.items():
        lines += [f"[{table}]", *(f"{key} = {toml_value(value)}" for key, value in values.items())]
    path = folder / REQUIREMENTS_PROJECT / "pyproject.toml"
    path.parent.mkdir()
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path
