"""Resolves options, ``SCW_*`` variables and Scaleway's profile, in this order, to an endpoint (``docs/cli.md``)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fnkit.client.endpoint import DEFAULT_API_URL, Endpoint
from fnkit.client.profile import Profile, read_profile
from fnkit.contract.limits import REGIONS
from fnkit.errors import UsageError

__all__ = ["EndpointOverrides", "check_region", "resolve_endpoint"]

_UUID_PATTERN = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


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
    profile = read_profile(environ, overrides.profile)
    secret_key, origin = _secret_key(environ, profile)
    project_id = overrides.project_id or environ.get("SCW_DEFAULT_PROJECT_ID") or profile.default_project_id
    if not project_id:
        raise UsageError(
            "No Scaleway project is configured.",
            code="no-project-id",
            hint="Use --project-id, or set SCW_DEFAULT_PROJECT_ID.",
        )
    if not _UUID_PATTERN.fullmatch(project_id):
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
    if key := environ.get("SCW_SECRET_KEY"):
        return _check_secret_key(key, "SCW_SECRET_KEY"), "SCW_SECRET_KEY"
    if profile.secret_key:
        return _check_secret_key(profile.secret_key, f"profile {profile.name}"), f"profile {profile.name}"
    raise UsageError(
        "No credentials were found for Scaleway's API.",
        code="no-credentials",
        hint="Set SCW_SECRET_KEY and SCW_DEFAULT_PROJECT_ID, or run `scw init`; "
        "or deploy to this machine with --local, which needs none.",
    )


def _check_secret_key(key: str, origin: str) -> str:
    """Reject a key that is invalid in an HTTP header.

    The HTTP library would reject it too, but its error message would contain the key.
    """
    if not key.isascii() or not key.isprintable() or key != key.strip():
        raise UsageError(
            f"The secret key from {origin} contains invalid characters.",
            code="bad-secret-key",
            hint="A secret key is a UUID; check for a stray space or line break.",
        )
    return key


def _check_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise UsageError(
            f"{url!r} is not a valid API URL.", code="bad-api-url", hint="Example: https://api.scaleway.com"
        )
    return url.rstrip("/")
