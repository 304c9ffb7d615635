"""Reads Scaleway's configuration file with the rules of Scaleway's own tools.

Path: ``$SCW_CONFIG_PATH``, else ``$XDG_CONFIG_HOME/scw/config.yaml``, else ``~/.config/scw/config.yaml``. The top
level is the default profile; a named profile overrides its values. ``SCW_PROFILE`` wins over ``active_profile``.
The rules are those of https://github.com/scaleway/scaleway-sdk-go/blob/master/scw/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.errors import UsageError

__all__ = ["Profile", "scaleway_config_path", "read_profile"]

_PROFILE_KEYS = ("access_key", "secret_key", "default_project_id", "default_region", "api_url")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The values of a profile, ``None`` where it has none. ``name`` is ``default`` for the top level."""

    name: str = "default"
    secret_key: str | None = field(default=None, repr=False)
    access_key: str | None = field(default=None, repr=False)
    default_project_id: str | None = None
    default_region: str | None = None
    api_url: str | None = None


def scaleway_config_path(environ: Mapping[str, str]) -> Path:
    """Return the path of the configuration file, which need not exist."""
    if explicit := environ.get("SCW_CONFIG_PATH"):
        return Path(explicit)
    base = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or Path.home()) / ".config")
    return Path(base) / "scw" / "config.yaml"


def read_profile(environ: Mapping[str, str], requested: str | None = None) -> Profile:
    """Return a profile: ``requested``, else ``SCW_PROFILE``, else the active one, else the top level.

    Raises:
        UsageError: The file cannot be read or is invalid, or the requested profile does not exist.
    """
    path = scaleway_config_path(environ)
    name = requested or environ.get("SCW_PROFILE")
    if not path.is_file():
        if name and name != "default":
            raise UsageError(
                f"The profile {name!r} was requested, but {path} does not exist.",
                code="profile-missing",
                hint="Create it with `scw init`, or set SCW_SECRET_KEY and SCW_DEFAULT_PROJECT_ID.",
            )
        return Profile()
    document = _load_config(path)
    active = document.get("active_profile")
    name = name or (active if isinstance(active, str) else None) or "default"
    values = {key: document.get(key) for key in _PROFILE_KEYS}
    if name != "default":
        values |= {
            key: value for key, value in _named_profile(document, name, path).items() if key in _PROFILE_KEYS
        }
    return Profile(name=name, **{key: value for key, value in values.items() if isinstance(value, str) and value})


def _load_config(path: Path) -> Mapping[str, object]:
    import yaml  # imported late: takes 20 ms, and only needed when the file exists

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.", code="profile-unreadable") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        raise UsageError(
            f"{path} is not valid YAML.",
            code="profile-unreadable",
            hint="Run `scw config validate` for details.",
            file=str(path),
            line=mark.line + 1 if mark is not None else None,
        ) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise UsageError(f"{path} is not a mapping of settings.", code="profile-unreadable", file=str(path))
    return document


def _named_profile(document: Mapping[str, object], name: str, path: Path) -> Mapping[str, object]:
    profiles = document.get("profiles")
    found = profiles.get(name) if isinstance(profiles, dict) else None
    if isinstance(found, dict):
        return found
    names = ", ".join(sorted(map(str, profiles))) if isinstance(profiles, dict) and profiles else "none"
    raise UsageError(f"{path} has no profile {name!r}.", code="profile-missing", hint=f"It has: {names}.")
