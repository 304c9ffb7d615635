"""Selects the deploy target of commands that build without deploying: Scaleway, or the local platform."""

from __future__ import annotations

from fnkit.cli.endpoints import endpoint_from_options
from fnkit.cli.options import ApiOptions, CommonOptions
from fnkit.client import FunctionsApi
from fnkit.contract.runtimes import RUNTIMES
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.deploy.site import DeployTarget, discover_target

__all__ = ["deploy_target_for"]


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
    with FunctionsApi(endpoint_from_options(common, here, project_region=None)) as client:
        return discover_target(client, AdaptiveLimiter())
