"""From flags, ``SCW_*`` variables and Scaleway's profile to one ``Endpoint``: in that order (docs/cli.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fnkit.client.endpoint import DEFAULT_API_URL, Endpoint
from fnkit.client.profile import Profile, read_profile
from fnkit.contract.limits import REGIONS
from fnkit.errors import UsageError

__all__ = ["Overrides", "check_region", "resolve_endpoint"]

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What the command line said; ``None`` where it said nothing."""

    project_id: str | None = None
    region: str | None = None
    profile: str | None = None
    api_url: str | None = None


def resolve_endpoint(
    overrides: Overrides, environ: Mapping[str, str], *, project_region: str | None = None
) -> Endpoint:
    """Return where to deploy: flags, ``SCW_*``, the project's region, the profile, then ``fr-par``.

    Raises:
        UsageError: no key or project can be found, or one is not what it should be.
    """
    profile = read_profile(environ, overrides.profile)
    secret_key, origin = _secret_key(environ, profile)
    project_id = overrides.project_id or environ.get("SCW_DEFAULT_PROJECT_ID") or profile.default_project_id
    if not project_id:
        raise UsageError(
            "There is a key, but no project to deploy into.",
            code="no-project-id",
            hint="Pass --project-id, or set SCW_DEFAULT_PROJECT_ID.",
        )
    if not _UUID.fullmatch(project_id):
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
    api_url = overrides.api_url or environ.get("SCW_API_URL") or profile.api_url or DEFAULT_API_URL
    return Endpoint(
        api_url=_check_url(api_url),
        secret_key=secret_key,
        project_id=project_id,
        region=check_region(region),
        origin=origin,
    )


def check_region(region: str) -> str:
    """Return the region, or refuse it.

    Raises:
        UsageError: the API has no such region.
    """
    if region not in REGIONS:
        raise UsageError(
            f"There is no region {region!r}.", code="unknown-region", hint=f"Regions: {', '.join(REGIONS)}."
        )
    return region


def _secret_key(environ: Mapping[str, str], profile: Profile) -> tuple[str, str]:
    if key := environ.get("SCW_SECRET_KEY"):
        return _header_safe(key, "SCW_SECRET_KEY"), "SCW_SECRET_KEY"
    if profile.secret_key:
        return _header_safe(profile.secret_key, f"profile {profile.name}"), f"profile {profile.name}"
    raise UsageError(
        "No credentials were found for Scaleway's API.",
        code="no-credentials",
        hint="Set SCW_SECRET_KEY and SCW_DEFAULT_PROJECT_ID, or run `scw init`; "
        "or deploy to this machine with --local, which needs none.",
    )


def _header_safe(key: str, origin: str) -> str:
    """Refuse a key that cannot stand in a header, before the HTTP library quotes it in an error."""
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise UsageError(
            f"The secret key from {origin} has characters that no key has.",
            code="bad-secret-key",
            hint="It is a UUID; look for a stray space or line break.",
        )
    return key


def _check_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise UsageError(
            f"{url!r} is not an API address.", code="bad-api-url", hint="It looks like https://api.scaleway.com"
        )
    return url.rstrip("/")
