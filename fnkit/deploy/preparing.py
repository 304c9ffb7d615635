"""Makes the inputs of a deploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.bundler import ResolverBackend, Bundle, BundleProgress, Lock, bundle_project, lock_project
from fnkit.client.api import FunctionsApi
from fnkit.deploy.archives import ArchivePaths
from fnkit.deploy.events import EventCallback, ResourceStep
from fnkit.deploy.loading import load_project
from fnkit.deploy.observing import observe_namespace, observe_attached_resources
from fnkit.deploy.pacing import AdaptiveLimiter
from fnkit.deploy.places import CacheDirectory
from fnkit.deploy.site import DeployTarget, discover_target
from fnkit.deploy.slice_memory import load_deployed_slices, with_deployed_slices
from fnkit.deploy.verdicts import verify_secrets
from fnkit.errors import UsageError
from fnkit.plan import DesiredState, ObservedState, Plan, desired_state, make_plan
from fnkit.project import Project, read_secret_values

__all__ = [
    "DeployInputs",
    "DeployRequest",
    "bundle_functions",
    "check_function_names",
    "lock_requirements",
    "prepare_inputs",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """Options of a deploy.

    Attributes:
        directory: The project's root or a directory below it.
        stage: Name of the stage; empty for none.
        names: Functions to deploy, ``None`` for all.
        prune: Delete owned functions that are no longer declared.
        refresh: List the crons, domains and triggers of every function.
    """

    directory: Path
    stage: str = ""
    names: frozenset[str] | None = None
    prune: bool = True
    refresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployInputs:
    """A plan and everything needed to apply it.

    Attributes:
        previous_archives: Zip files by slice digest of live slices, where this machine has a record of them.
        secrets: Values by name; omitted from ``repr``.
    """

    target: DeployTarget
    project: Project
    bundles: tuple[Bundle, ...]
    desired: DesiredState
    observed: ObservedState
    plan: Plan
    previous_archives: ArchivePaths
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def archives(self) -> ArchivePaths:
        """Zip files by content digest."""
        return {bundle.digest: bundle.path for bundle in self.bundles}


def prepare_inputs(
    request: DeployRequest,
    api: FunctionsApi,
    *,
    environ: Mapping[str, str],
    cache: CacheDirectory,
    limiter: AdaptiveLimiter,
    report: EventCallback,
) -> DeployInputs:
    """Make the inputs of a deploy. Changes nothing at the endpoint.

    Args:
        request: What to deploy.
        api: The API to deploy to.
        environ: Environment variables, the source of secret values.
        cache: The cache directory.
        limiter: Limits concurrent requests.
        report: Called for each event.

    Raises:
        ProjectInvalid: Contains all problems of the project, missing secrets included.
        BundleError: An archive cannot be built.
        ApiError: The endpoint rejected a request or could not be reached.
        DeployError: A name belongs to another owner.
    """
    site = discover_target(api, limiter)
    project = load_project(request.directory, stage=request.stage, available=site.available_runtimes)
    check_function_names(project, request.names)
    secrets = read_secret_values(project, environ)
    bundles = bundle_functions(project, site, cache, request.names, report)
    desired = desired_state(
        project,
        bundles,
        names=request.names,
        project_id=api.endpoint.project_id,
        region=api.endpoint.region,
        nats_account=site.info.nats_account if site.info is not None else "",
    )
    observed = observe_namespace(api, project.namespace.name, limiter)
    observed = observe_attached_resources(api, observed, desired, limiter, refresh=request.refresh)
    deployed = load_deployed_slices(observed, cache.slices)
    observed = with_deployed_slices(observed, deployed)
    plan = make_plan(
        desired,
        observed,
        verify_secrets(observed, secrets, cache.secrets),
        api_url=api.endpoint.api_url,
        region=api.endpoint.region,
        project_id=api.endpoint.project_id,
        prune=request.prune,
    )
    return DeployInputs(
        target=site,
        project=project,
        bundles=bundles,
        desired=desired,
        observed=observed,
        plan=plan,
        previous_archives={digest: Path(slice_.archive) for digest, slice_ in deployed.items()},
        secrets=secrets,
    )


def bundle_functions(
    project: Project,
    target: DeployTarget,
    cache: CacheDirectory,
    names: frozenset[str] | None,
    report: EventCallback,
    *,
    out: Path | None = None,
) -> tuple[Bundle, ...]:
    """Build the archives of selected functions for a target, in ``out`` or the cache.

    Raises:
        BundleError: An archive cannot be built.
    """
    selected = [spec for spec in project.functions if names is None or spec.name in names]
    return bundle_project(
        project,
        target.bundle_targets(spec.runtime for spec in selected),
        out=out or cache.archives,
        cache=cache.bundler,
        kind=target.kind,
        names=names,
        report=_progress_adapter(report),
    )


def lock_requirements(
    project: Project, target: DeployTarget, report: EventCallback, *, upgrade: bool, backend: ResolverBackend
) -> tuple[Lock, ...]:
    """Resolve the requirements for a target and write the lock files.

    Raises:
        BundleError: The requirements cannot be resolved.
    """
    targets = target.bundle_targets(spec.runtime for spec in project.functions)
    return lock_project(
        project, targets, kind=target.kind, upgrade=upgrade, backend=backend, report=_progress_adapter(report)
    )


def _progress_adapter(report: EventCallback) -> Callable[[BundleProgress], None]:
    """Return a callback that reports the bundler's progress as events of a deploy."""

    def tell(progress: BundleProgress) -> None:
        count = f" {progress.done}/{progress.total}" if progress.total else ""
        report(ResourceStep("bundle", progress.runtime, f"{progress.stage}{count} {progress.detail}".rstrip()))

    return tell


def check_function_names(project: Project, names: frozenset[str] | None) -> None:
    """Reject names of functions that the project does not have.

    Raises:
        UsageError: ``unknown-function``.
    """
    known = {spec.name for spec in project.functions}
    unknown = sorted((names or frozenset()) - known)
    if unknown:
        raise UsageError(
            f"The project has no function {', '.join(unknown)}.",
            code="unknown-function",
            hint=f"It has: {', '.join(sorted(known)) or 'none'}.",
        )
