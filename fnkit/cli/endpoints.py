"""Resolves the API options of a command to an endpoint or a deploy target.

An endpoint is Scaleway's API as given by flags, environment and profile, or the local platform, which is started
on demand. A deploy target describes the machine that archives are built for.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from fnkit.cli.options import ApiOptions, CommonOptions
from fnkit.client import Endpoint, EndpointOverrides, FunctionsApi, resolve_endpoint
from fnkit.client.endpoint import check_region
from fnkit.contract.limits import REGIONS
from fnkit.contract.runtimes import RUNTIMES
from fnkit.deploy.loading import ProjectIdentity, load_identity
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.deploy.target import DeployTarget, discover_target
from fnkit.errors import UsageError

if TYPE_CHECKING:
    from fnkit.platform.supervisor.launcher import RunningPlatform

LOCAL_PLATFORM: Final = "the local platform"
_STARTED: Final = "Started the local platform. It stays until `fnkit platform stop`."


@contextmanager
def open_api(common: CommonOptions, api: ApiOptions) -> Iterator[tuple[FunctionsApi, ProjectIdentity]]:
    """Open the API that the project is deployed to, and yield its client and the identity of the project."""
    identity = load_identity(common.directory, stage=common.stage)
    with FunctionsApi(_endpoint(common, api, project_region=identity.region)) as client:
        yield client, identity


def _endpoint(common: CommonOptions, api: ApiOptions, *, project_region: str | None) -> Endpoint:
    """Return the API endpoint of this run; with ``--local``, start the local platform if it is not running.

    Args:
        common: The common options; a start of the platform shows its progress on their output.
        api: The API options of the command.
        project_region: The region in the project's settings, used if neither flag nor environment names one.

    Raises:
        UsageError: Flags exclude each other, credentials are missing, or the region is unknown.
        PlatformError: The platform could not be started.
    """
    if not api.local:
        overrides = EndpointOverrides(
            project_id=api.project_id, region=api.region, profile=api.profile, api_url=api.api_url
        )
        return resolve_endpoint(overrides, os.environ, project_region=project_region)
    flags = {"--project-id": api.project_id, "--profile": api.profile, "--api-url": api.api_url}
    given = [flag for flag, value in flags.items() if value]
    if given:
        raise UsageError(
            f"--local and {given[0]} exclude each other: the local platform has its own.",
            hint="Remove one of them. FNKIT_LOCAL=1 is the same as --local; FNKIT_LOCAL=0 disables it.",
        )
    from fnkit.platform.supervisor.launcher import ensure_running

    starts: list[str] = []
    with common.output.progress("Starting the local platform"):
        running = ensure_running(on_start=lambda: starts.append(_STARTED))
    for sentence in starts:
        common.output.message(sentence)
    return local_endpoint(running, api.region or project_region)


def local_endpoint(running: RunningPlatform, region: str | None) -> Endpoint:
    """Return the API endpoint of a platform on this machine.

    Raises:
        UsageError: The region is unknown.
    """
    return Endpoint(
        api_url=running.api_url,
        secret_key=running.secret_key,
        project_id=running.project_id,
        region=check_region(region or REGIONS[0]),
        key_origin=LOCAL_PLATFORM,
    )


def platform_name(endpoint: Endpoint) -> str:
    """Return what an endpoint is, for a sentence: ``Scaleway``, ``the local platform``, or its URL."""
    if endpoint.key_origin == LOCAL_PLATFORM:
        return LOCAL_PLATFORM
    return f"Scaleway, project {endpoint.project_id}" if endpoint.is_scaleway else endpoint.api_url


def deploy_target_for(common: CommonOptions, target: str) -> DeployTarget:
    """Return the deploy target for ``--target``.

    Args:
        common: The common options.
        target: ``scaleway`` for the recorded runtimes of Scaleway, or ``local`` for those of the local platform,
            which is started if it is not running.

    Raises:
        PlatformError: The local platform could not be started.
    """
    if target == "scaleway":
        return DeployTarget(info=None, runtimes=RUNTIMES)
    here = ApiOptions(project_id=None, region=None, profile=None, api_url=None, local=True)
    with FunctionsApi(_endpoint(common, here, project_region=None)) as client:
        return discover_target(client, AdaptiveLimiter())
