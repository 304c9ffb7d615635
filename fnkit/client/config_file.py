"""Writes credentials into Scaleway's own configuration file, which its CLI, SDKs and fnkit read.

The file is edited in place: the rest stays as it is, comments included. The result is parsed and compared. A file
whose form cannot be edited so (on one line, with aliases) is written anew, with the same settings and
without comments.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import yaml

from fnkit.client.endpoint import load_config, scaleway_config_path
from fnkit.errors import UsageError

DEFAULT_PROFILE: Final = "default"
"""Name of the settings at the top level of the file."""

_INDENT: Final = 2


def current_profile_name(environ: Mapping[str, str], requested: str | None = None) -> str:
    """Return the profile to use: ``requested``, else ``SCW_PROFILE``, else the active one, else the default.

    Raises:
        UsageError: The file cannot be read.
    """
    path = scaleway_config_path(environ)
    active = load_config(path).get("active_profile") if path.is_file() else None
    return requested or environ.get("SCW_PROFILE") or (active if isinstance(active, str) else "") or DEFAULT_PROFILE


def has_secret_key(environ: Mapping[str, str], profile: str) -> bool:
    """Return whether a profile has a secret key.

    Raises:
        UsageError: The file cannot be read.
    """
    path = scaleway_config_path(environ)
    if not path.is_file():
        return False
    values: object = load_config(path)
    for key in () if profile == DEFAULT_PROFILE else ("profiles", profile):
        values = values.get(key) if isinstance(values, dict) else None
    return isinstance(values, dict) and bool(values.get("secret_key"))


def write_profile(environ: Mapping[str, str], profile: str, values: Mapping[str, str]) -> Path:
    """Set values of a profile, which is created if it does not exist; the file becomes readable by its owner only.

    Args:
        environ: The process environment, which locates the file.
        profile: Name of the profile; ``default`` for the top level.
        values: Settings such as ``secret_key`` and their values; other settings of the profile stay.

    Returns:
        The path of the file.

    Raises:
        UsageError: The file cannot be read, or is not a mapping of settings.
        OSError: It cannot be written.
    """
    path = scaleway_config_path(environ)
    document = dict(load_config(path)) if path.is_file() else {}
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    location = () if profile == DEFAULT_PROFILE else ("profiles", profile)
    wanted = _with_values(document, location, values, path)
    for key, value in values.items():
        text = _set(text, (*location, key), value)
    if _parse(text) != wanted:
        text = yaml.safe_dump(wanted, sort_keys=False)
    _write_private(path, text)
    return path


def _with_values(
    document: Mapping[str, object], location: tuple[str, ...], values: Mapping[str, str], path: Path
) -> dict[str, object]:
    changed = dict(document)
    if not location:
        return {**changed, **values}
    inner = changed.get(location[0]) or {}
    if not isinstance(inner, dict):
        raise UsageError(f"{location[0]} in {path} is not a mapping.", code="profile-unreadable", file=str(path))
    changed[location[0]] = _with_values(inner, location[1:], values, path)
    return changed


def _parse(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def _set(text: str, location: tuple[str, ...], value: str) -> str:
    """Return the text with a value at a location, as far as its form allows; the caller checks the result."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        return text
    for depth, key in enumerate(location):
        if not isinstance(node, yaml.MappingNode) or node.flow_style or not node.value:
            return _appended(text, location, value) if depth == 0 and node is None else text
        found = next((inner for name, inner in node.value if name.value == key), None)
        if found is None:
            first = node.value[0][0].start_mark
            line_start = first.index - first.column
            return text[:line_start] + _block(location[depth:], value, first.column) + text[line_start:]
        node = found
    if not isinstance(node, yaml.ScalarNode):
        return text
    return text[: node.start_mark.index] + _quoted(value) + text[node.end_mark.index :]


def _appended(text: str, location: tuple[str, ...], value: str) -> str:
    separator = "" if not text or text.endswith("\n") else "\n"
    return text + separator + _block(location, value, 0)


def _block(keys: tuple[str, ...], value: str, indent: int) -> str:
    lines = [f"{' ' * (indent + _INDENT * depth)}{_quoted(key)}:" for depth, key in enumerate(keys)]
    return "\n".join(lines) + f" {_quoted(value)}\n"


def _quoted(value: str) -> str:
    """Return a string as YAML writes it, on one line."""
    return str(yaml.safe_dump(value, width=10_000)).removesuffix("\n").removesuffix("...").removesuffix("\n")


def _write_private(path: Path, text: str) -> None:
    """Write a file atomically with mode 0600; a directory that is made for it has mode 0700."""
    target = Path(os.path.realpath(path))
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
