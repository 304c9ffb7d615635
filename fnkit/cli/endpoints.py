"""From the API options of a verb to an endpoint: Scaleway's as flags and environment say, or this machine's."""

from __future__ import annotations

import os

from fnkit.cli.options import ApiOptions, CommonOptions
from fnkit.client import Endpoint, Overrides, resolve_endpoint
from fnkit.client.resolving import check_region
from fnkit.contract.limits import REGIONS
from fnkit.errors import UsageError

__all__ = ["endpoint_for"]


def endpoint_for(common: CommonOptions, api: ApiOptions, *, project_region: str | None) -> Endpoint:
    """Return where this run talks to. ``--local`` starts the platform when it is not running (decision 22).

    Raises:
        UsageError: contradictory flags, no credentials, a bad region.
        PlatformError: the platform could not be started.
    """
    if not api.local:
        overrides = Overrides(
            project_id=api.project_id, region=api.region, profile=api.profile, api_url=api.api_url
        )
        return resolve_endpoint(overrides, os.environ, project_region=project_region)
    flags = {"--project-id": api.project_id, "--profile": api.profile, "--api-url": api.api_url}
    given = [flag for flag, value in flags.items() if value]
    if given:
        raise UsageError(
            f"--local and {given[0]} contradict each other: the platform on this machine has its own.",
            hint="Leave out one of them.",
        )
    from fnkit.platform.server.lifecycle import ensure_running

    with common.output.progress("Starting the platform on this machine"):
        running = ensure_running()
    return Endpoint(
        api_url=running.api_url,
        secret_key=running.secret_key,
        project_id=running.project_id,
        region=check_region(api.region or project_region or REGIONS[0]),
        origin="the platform on this machine",
    )
