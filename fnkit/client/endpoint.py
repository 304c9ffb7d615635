"""The API endpoint and its credentials, from options, environment variables and Scaleway's configuration file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from fnkit.contract.limits import REGIONS
from fnkit.contract.names import UUID_RULE
from fnkit.errors import UsageError

_PROFILE_KEYS = ("access_key", "secret_key", "default_project_id", "default_region", "api_url")

_DEFAULT_API_URL = "https://api.scaleway.com"
_LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


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


def _read_profile(environ: Mapping[str, str], requested: str | None = None) -> Profile:
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
                hint="Create it with `fnkit login`, or set SCW_SECRET_KEY and SCW_DEFAULT_PROJECT_ID.",
            )
        return Profile()
    document = load_config(path)
    active = document.get("active_profile")
    name = name or (active if isinstance(active, str) else None) or "default"
    values = {**document, **({} if name == "default" else _named_profile(document, name, path))}
    known = {key: values.get(key) for key in _PROFILE_KEYS}
    return Profile(name=name, **{key: value for key, value in known.items() if isinstance(value, str) and value})


def load_config(path: Path) -> Mapping[str, object]:
    """Return the content of the configuration file.

    Raises:
        UsageError: ``profile-unreadable``.
    """
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One Functions API, one of its regions, and credentials.

    Attributes:
        api_url: Without trailing slash.
        secret_key: Omitted from ``repr``.
        key_origin: Where the key comes from, for messages: ``"SCW_SECRET_KEY"``, ``"profile work"``,
            ``"the platform on this machine"``.
    """

    api_url: str
    secret_key: str = field(repr=False)
    project_id: str
    region: str
    key_origin: str

    @property
    def is_loopback(self) -> bool:
        """Whether the API is on this machine. Such an API is never reached through a proxy."""
        return is_loopback(self.api_url)

    @property
    def is_scaleway(self) -> bool:
        """Whether this is Scaleway's own host, which is never sent requests that only local platforms support."""
        host = urlsplit(self.api_url).hostname or ""
        return host == "api.scaleway.com" or host.endswith(".scaleway.com")


def is_loopback(url: str) -> bool:
    """Return whether a URL's host is a loopback name or address. Does not resolve names."""
    host = (urlsplit(url).hostname or "").lower()
    return host in _LOOPBACK_HOSTS or host.endswith(".localhost") or host.startswith("127.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointOverrides:
    """Values from the command line, ``None`` where an option was not given."""

    project_id: str | None = None
    region: str | None = None
    profile: str | None = None
    api_url: str | None = None


def resolve_endpoint(
    overrides: EndpointOverrides, environ: Mapping[str, str], *, project_region: str | None = None
) -> Endpoint:
    """Return the endpoint to use.

    Each value comes from the first source that has it: options, ``SCW_*`` variables, the project's settings (region
    only), the profile, and finally ``fr-par`` and Scaleway's URL.

    Raises:
        UsageError: There is no key or project, or a value is invalid.
    """
    profile = _read_profile(environ, overrides.profile)
    secret_key, origin = _secret_key(environ, profile)
    project_id = overrides.project_id or environ.get("SCW_DEFAULT_PROJECT_ID") or profile.default_project_id
    if not project_id:
        raise UsageError(
            "No Scaleway project is configured.",
            code="no-project-id",
            hint="Use --project-id, or set SCW_DEFAULT_PROJECT_ID.",
        )
    if not UUID_RULE.fullmatch(project_id):
        raise UsageError(
            f"{project_id!r} is not a project id.", code="bad-project-id", hint="A project id is a UUID."
        )
    region = (
        overrides.region
        or environ.get("SCW_DEFAULT_REGION")
        or project_region
        or profile.default_region
        or REGIONS[0]
    )
    api_url = overrides.api_url or environ.get("SCW_API_URL") or profile.api_url or _DEFAULT_API_URL
    return Endpoint(
        api_url=_check_url(api_url),
        secret_key=secret_key,
        project_id=project_id,
        region=check_region(region),
        key_origin=origin,
    )


def check_region(region: str) -> str:
    """Return the region if the API has it.

    Raises:
        UsageError: ``unknown-region``.
    """
    if region not in REGIONS:
        raise UsageError(
            f"There is no region {region!r}.", code="unknown-region", hint=f"Regions: {', '.join(REGIONS)}."
        )
    return region


def _secret_key(environ: Mapping[str, str], profile: Profile) -> tuple[str, str]:
    """Return the secret key and its origin.

    A key that is invalid in an HTTP header is rejected here. The HTTP library would reject it too, but its error
    message would contain the key.
    """
    key, origin = environ.get("SCW_SECRET_KEY"), "SCW_SECRET_KEY"
    if not key:
        key, origin = profile.secret_key, f"profile {profile.name}"
    if not key:
        raise UsageError(
            "No credentials were found for Scaleway's API.",
            code="no-credentials",
            hint="Set SCW_SECRET_KEY and SCW_DEFAULT_PROJECT_ID, or run `fnkit login`; "
            "or deploy to this machine with --local, which needs none.",
        )
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise UsageError(
            f"The secret key from {origin} contains invalid characters.",
            code="bad-secret-key",
            hint="A secret key is a UUID; check for a stray space or line break.",
        )
    return key, origin


def _check_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise UsageError(
            f"{url!r} is not a valid API URL.", code="bad-api-url", hint="Example: https://api.scaleway.com"
        )
    return url.rstrip("/")
