"""The live state of a project, its drift from the code, and its live crons and triggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fnkit.client.api import FunctionsApi
from fnkit.contract.resources import Function
from fnkit.deploy.addresses import function_url
from fnkit.deploy.events import Report
from fnkit.deploy.loading import Identity
from fnkit.deploy.observing import observe
from fnkit.deploy.pacing import Pace
from fnkit.deploy.places import CacheFolder
from fnkit.deploy.preparing import Wish, prepare
from fnkit.deploy.site import Site, ask_site
from fnkit.errors import BundleError, DeployError, Problem, ProjectError, ProjectInvalid
from fnkit.plan import Action, FunctionChange, Observed
from fnkit.plan.tags import read_ownership

__all__ = ["FunctionState", "Inspection", "inspect_project"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionState:
    """One function that is live, declared, or both.

    Attributes:
        status: The API's, or ``missing`` when the function is only declared.
        drift: What a deploy would change and why; empty for nothing, ``None`` when it could not be determined.
    """

    name: str
    status: str
    url: str = ""
    domain: str = ""
    runtime: str = ""
    digest: str = ""
    drift: tuple[str, ...] | None = ()
    error_message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The live state of a project and stage.

    Attributes:
        foreign: Names of functions in the namespace that the project does not own.
        drift_problem: Why drift could not be determined, or ``None``.
    """

    namespace: str
    region: str
    functions: tuple[FunctionState, ...]
    foreign: tuple[str, ...] = ()
    obstacle: Problem | None = None

    @property
    def in_error(self) -> bool:
        """Whether an owned function has the status ``error``."""
        return any(one.status == "error" for one in self.functions)


def inspect_project(
    identity: Identity,
    api: FunctionsApi,
    *,
    environ: Mapping[str, str],
    cache: CacheFolder,
    report: Report,
) -> Inspection:
    """Read the live state and compare it with the project, if the project is valid.

    Raises:
        ApiError: The endpoint rejected a request or could not be reached.
    """
    pace = Pace()
    wish = Wish(directory=identity.root, stage=identity.stage)
    try:
        prepared = prepare(wish, api, environ=environ, cache=cache, pace=pace, report=report)
    except (ProjectError, BundleError, DeployError) as error:
        # An invalid project prevents the comparison only; the live state is shown regardless.
        site, observed = ask_site(api, pace), observe(api, identity.namespace, pace)
        return _inspection(identity, api, site, observed, None, _obstacle(error))
    functions = [change for change in prepared.plan.changes if isinstance(change, FunctionChange)]
    drift = {one.name: () if one.action is Action.KEEP else one.reasons for one in functions}
    return _inspection(identity, api, prepared.site, prepared.observed, drift, None)


def _obstacle(error: ProjectError | BundleError | DeployError) -> Problem:
    if isinstance(error, ProjectInvalid):
        return error.problems[0]
    return Problem(error.code, error.message, error.hint, error.file, error.line)


def _inspection(
    identity: Identity,
    api: FunctionsApi,
    site: Site,
    observed: Observed,
    drift: Mapping[str, tuple[str, ...]] | None,
    obstacle: Problem | None,
) -> Inspection:
    live = {one.name: one for one in observed.functions}
    owned = {
        name for name, one in live.items() if read_ownership(one.tags).belongs_to(identity.project, identity.stage)
    }
    return Inspection(
        namespace=identity.namespace,
        region=api.endpoint.region,
        functions=tuple(
            _state(name, live.get(name), drift, site, identity.namespace)
            for name in sorted(owned | set(drift or ()))
        ),
        foreign=tuple(sorted(set(live) - owned)),
        obstacle=obstacle,
    )


def _state(
    name: str, live: Function | None, drift: Mapping[str, tuple[str, ...]] | None, site: Site, namespace: str
) -> FunctionState:
    difference = None if drift is None else drift.get(name, ())
    if live is None:
        return FunctionState(name=name, status="missing", drift=difference)
    url = function_url(site.info, live.domain_name, region=live.region, namespace=namespace, function=name)
    return FunctionState(
        name=name,
        status=live.status,
        url=url,
        domain=live.domain_name,
        runtime=live.runtime,
        digest=read_ownership(live.tags).code or "",
        drift=difference,
        error_message=live.error_message,
    )
