"""Selects the deploy target of commands that build without deploying: Scaleway, or the local platform."""

from __future__ import annotations

from fnkit.cli.endpoints import endpoint_for
from fnkit.cli.options import ApiOptions, CommonOptions
from fnkit.client import FunctionsApi
from fnkit.contract.runtimes import RUNTIMES
from fnkit.deploy.pacing import Pace
from fnkit.deploy.site import Site, ask_site

__all__ = ["site_for"]


def site_for(common: CommonOptions, target: str) -> Site:
    """Return the deploy target for ``--target``.

    Args:
        common: The common options.
        target: ``scaleway`` for the recorded runtimes of Scaleway, or ``local`` for those of the local platform,
            which is started if it is not running.

    Raises:
        PlatformError: The local platform could not be started.
    """
    if target == "scaleway":
        return Site(info=None, runtimes=RUNTIMES)
    here = ApiOptions(project_id=None, region=None, profile=None, api_url=None, local=True)
    with FunctionsApi(endpoint_for(common, here, project_region=None)) as client:
        return ask_site(client, Pace())
