"""The live state of a project, its drift from the code, and its live crons and triggers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fnkit.client.api import FunctionsApi
from fnkit.contract.resources import Function
from fnkit.deploy.addresses import function_url
from fnkit.deploy.events import EventCallback
from fnkit.deploy.loading import ProjectIdentity
from fnkit.deploy.observing import observe_namespace
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.deploy.places import CacheDirectory
from fnkit.deploy.preparing import DeployRequest, prepare_inputs
from fnkit.deploy.site import DeployTarget, discover_target
from fnkit.errors import BundleError, DeployError, Problem, ProjectError, ProjectInvalid
from fnkit.plan import Action, FunctionChange, ObservedState
from fnkit.plan.tags import read_ownership

__all__ = ["FunctionStatus", "ProjectStatus", "read_project_status"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionStatus:
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
class ProjectStatus:
    """The live state of a project and stage.

    Attributes:
        foreign: Names of functions in the namespace that the project does not own.
        drift_problem: Why drift could not be determined, or ``None``.
    """

    namespace: str
    region: str
    functions: tuple[FunctionStatus, ...]
    foreign: tuple[str, ...] = ()
    drift_problem: Problem | None = None

    @property
    def has_errors(self) -> bool:
        """Whether an owned function has the status ``error``."""
        return any(one.status == "error" for one in self.functions)


def read_project_status(
    identity: ProjectIdentity,
    api: FunctionsApi,
    *,
    environ: Mapping[str, str],
    cache: CacheDirectory,
    report: EventCallback,
) -> ProjectStatus:
    """Read the live state and compare it with the project, if the project is valid.

    Raises:
        ApiError: The endpoint rejected a request or could not be reached.
    """
    pace = AdaptiveLimiter()
    wish = DeployRequest(directory=identity.root, stage=identity.stage)
    try:
        prepared = prepare_inputs(wish, api, environ=environ, cache=cache, limiter=pace, report=report)
    except (ProjectError, BundleError, DeployError) as error:
        # An invalid project prevents the comparison only; the live state is shown regardless.
        site, observed = discover_target(api, pace), observe_namespace(api, identity.namespace, pace)
        return _project_status(identity, api, site, observed, None, _as_problem(error))
    functions = [change for change in prepared.plan.changes if isinstance(change, FunctionChange)]
    drift = {one.name: () if one.action is Action.KEEP else one.reasons for one in functions}
    return _project_status(identity, api, prepared.target, prepared.observed, drift, None)


def _as_problem(error: ProjectError | BundleError | DeployError) -> Problem:
    if isinstance(error, ProjectInvalid):
        return error.problems[0]
    return Problem(error.code, error.message, error.hint, error.file, error.line)


def _project_status(
    identity: ProjectIdentity,
    api: FunctionsApi,
    target: DeployTarget,
    observed: ObservedState,
    drift: Mapping[str, tuple[str, ...]] | None,
    drift_problem: Problem | None,
) -> ProjectStatus:
    live = {one.name: one for one in observed.functions}
    owned = {
        name for name, one in live.items() if read_ownership(one.tags).belongs_to(identity.project, identity.stage)
    }
    return ProjectStatus(
        namespace=identity.namespace,
        region=api.endpoint.region,
        functions=tuple(
            _function_status(name, live.get(name), drift, target, identity.namespace)
            for name in sorted(owned | set(drift or ()))
        ),
        foreign=tuple(sorted(set(live) - owned)),
        drift_problem=drift_problem,
    )


def _function_status(
    name: str,
    live: Function | None,
    drift: Mapping[str, tuple[str, ...]] | None,
    target: DeployTarget,
    namespace: str,
) -> FunctionStatus:
    difference = None if drift is None else drift.get(name, ())
    if live is None:
        return FunctionStatus(name=name, status="missing", drift=difference)
    url = function_url(target.info, live.domain_name, region=live.region, namespace=namespace, function=name)
    return FunctionStatus(
        name=name,
        status=live.status,
        url=url,
        domain=live.domain_name,
        runtime=live.runtime,
        digest=read_ownership(live.tags).code_digest or "",
        drift=difference,
        error_message=live.error_message,
    )
