"""Runs deploys: lock, make the inputs, apply the plan, record what was deployed.

Making the inputs is one pipeline:

1. *Discover* the target: its runtimes, and on a local platform the interpreters behind them.
2. *Observe* the namespace and its functions. Read-only.
3. *Load* the project for these runtimes. A function that names no runtime keeps its deployed one. No code runs.
4. *Read secrets* from the environment and ``.env`` files. They stay in memory.
5. *Bundle*: build archives and a digest for each function. Nothing is uploaded.
6. *Observe* crons, domains and triggers, with as few requests as planning needs.
7. *Plan*: each difference becomes a change with its reasons. Pure.

``fnkit plan`` ends here and ``fnkit deploy`` passes the same value to ``apply_plan``, so the two cannot diverge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from fnkit.bundler.builds.permission import AllowBuildsCallback
from fnkit.bundler.bundle import bundle_project, lock_project
from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.bundler.dependencies.locking import ResolverBackend
from fnkit.bundler.model import Bundle, BundleProgress
from fnkit.client.api import FunctionsApi
from fnkit.contract.enums import Status
from fnkit.contract.platform import PlatformInfo
from fnkit.deploy.apply import apply_plan
from fnkit.deploy.apply_resources import ApplyContext, ArchivePaths
from fnkit.deploy.cache import load_deployed_slices, save_deployed_slices, verify_secrets
from fnkit.deploy.events import ApplyResult, EventCallback, IdleTrigger, ResourceStep
from fnkit.deploy.loading import ProjectIdentity, load_identity, load_project
from fnkit.deploy.lock import deploy_lock
from fnkit.deploy.observe import observe_attached_resources, observe_namespace, with_function_urls
from fnkit.deploy.retries import AdaptiveLimiter
from fnkit.deploy.start_report import find_idle_triggers
from fnkit.deploy.target import DeployTarget, discover_target, local_notes
from fnkit.deploy.user_cache import CacheDirectory
from fnkit.errors import DeployError, ProjectError, ProjectInvalid, UsageError
from fnkit.plan import DesiredState, ObservedState, Plan, deletions, desired_state, make_plan, plan_destroy
from fnkit.plan.model import encode_plan
from fnkit.project import Project, read_secret_values

ApproveCallback = Callable[[Plan, PlatformInfo | None], bool]
"""Called with the plan, and with the description of a local platform, before anything changes.

Returning false cancels the deploy. It must not return true for a plan with ``deletions`` that nobody has confirmed.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRequest:
    """Options of a deploy.

    Attributes:
        directory: The project's root or a directory below it.
        stage: Name of the stage; empty for none.
        names: Functions to deploy, ``None`` for all.
        prune: Delete owned functions that are no longer declared.
        refresh: List the crons, domains and triggers of every function.
        allow_builds: Called before code of the project or of its packages runs. ``None`` for a plan, which never
            runs any.
    """

    directory: Path
    stage: str = ""
    names: frozenset[str] | None = None
    prune: bool = True
    refresh: bool = False
    allow_builds: AllowBuildsCallback | None = None


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
        """Zip files by content digest, of the archives that were written."""
        return {bundle.digest: bundle.path for bundle in self.bundles if not bundle.needs_build}


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
    target = discover_target(api, limiter)
    observed = _observe_project(request, api, limiter)
    project = load_project(
        request.directory,
        stage=request.stage,
        available=target.available_runtimes,
        needed=request.names,
        deployed={one.name: one.runtime for one in observed.functions},
    )
    check_function_names(project, request.names)
    secrets = read_secret_values(project, environ, target.secret_defaults)
    bundles = bundle_functions(project, target, cache, request.names, report, allow_builds=request.allow_builds)
    desired = desired_state(
        project,
        bundles,
        names=request.names,
        project_id=api.endpoint.project_id,
        region=api.endpoint.region,
        nats_account=target.info.nats_account if target.info is not None else "",
    )
    selected = [spec for spec in project.functions if request.names is None or spec.name in request.names]
    desired = replace(desired, notes=(*local_notes(target.info, selected), *desired.notes))
    observed = with_function_urls(observed, desired, target.info)
    observed = observe_attached_resources(api, observed, desired, limiter, refresh=request.refresh)
    deployed = load_deployed_slices(observed, cache.slices)
    observed = replace(observed, deployed_slices={digest: slice_.files for digest, slice_ in deployed.items()})
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
        target=target,
        project=project,
        bundles=bundles,
        desired=desired,
        observed=observed,
        plan=plan,
        previous_archives={digest: Path(slice_.archive) for digest, slice_ in deployed.items()},
        secrets=secrets,
    )


def _observe_project(request: DeployRequest, api: FunctionsApi, limiter: AdaptiveLimiter) -> ObservedState:
    """Return the state of the project's namespace; nothing if its settings are invalid, which loading reports."""
    try:
        identity = load_identity(request.directory, stage=request.stage)
    except ProjectInvalid:
        return ObservedState()
    return observe_namespace(api, identity.namespace, limiter)


def bundle_functions(
    project: Project,
    target: DeployTarget,
    cache: CacheDirectory,
    names: frozenset[str] | None,
    report: EventCallback,
    *,
    allow_builds: AllowBuildsCallback | None,
    out: Path | None = None,
    write_archives: bool = True,
) -> tuple[Bundle, ...]:
    """Build the archives of selected functions for a target, in ``out`` or the cache, or only describe them.

    Raises:
        BundleError: An archive cannot be built.
    """
    selected = [spec for spec in project.functions if names is None or spec.name in names]
    return bundle_project(
        project,
        target.bundle_targets(spec.runtime for spec in selected),
        out=(out or cache.archives) if write_archives else None,
        cache=cache.bundler,
        kind=target.kind,
        names=names,
        report=_progress_adapter(report),
        allow_builds=allow_builds,
    )


def lock_requirements(
    project: Project,
    target: DeployTarget,
    report: EventCallback,
    *,
    upgrade: bool,
    backend: ResolverBackend,
    allow_builds: AllowBuildsCallback,
) -> tuple[Lock, ...]:
    """Resolve the requirements for a target and write the lock files.

    Raises:
        BundleError: The requirements cannot be resolved.
    """
    targets = target.bundle_targets(spec.runtime for spec in project.functions)
    return lock_project(
        project,
        targets,
        kind=target.kind,
        upgrade=upgrade,
        backend=backend,
        report=_progress_adapter(report),
        allow_builds=allow_builds,
    )


def _progress_adapter(report: EventCallback) -> Callable[[BundleProgress], None]:
    """Return a callback that reports the bundler's progress as events of a deploy."""

    def report_progress(progress: BundleProgress) -> None:
        report(ResourceStep("bundle", progress.runtime, progress.text))

    return report_progress


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


def deploy(
    request: DeployRequest,
    api: FunctionsApi,
    *,
    environ: Mapping[str, str],
    cache: CacheDirectory,
    report: EventCallback,
    approve: ApproveCallback,
    saved_plan: Plan | None = None,
    wait: bool = True,
) -> tuple[DeployInputs, ApplyResult | None]:
    """Deploy a project.

    Holds the deploy lock of the endpoint, project directory and stage from before planning until the end.

    Args:
        request: What to deploy.
        api: The API to deploy to.
        environ: Environment variables, the source of secret values.
        cache: The cache directory.
        report: Called for each event, from several threads.
        approve: Called with the plan before anything changes.
        saved_plan: A saved plan. The deploy fails unless its own plan is identical.
        wait: Wait for a concurrent deploy instead of failing.

    Returns:
        The inputs, and the result; the result is ``None`` when the plan was not approved.

    Raises:
        FnkitError: Nothing was changed, or the namespace could not be created or updated.
    """
    limiter = AdaptiveLimiter()
    subject = (api.endpoint.api_url, api.endpoint.region, str(request.directory), request.stage)
    with deploy_lock(cache.locks, key=subject, wait=wait, report=report):
        prepared = prepare_inputs(request, api, environ=environ, cache=cache, limiter=limiter, report=report)
        if saved_plan is not None and encode_plan(saved_plan) != encode_plan(prepared.plan):
            raise DeployError(
                "The saved plan is out of date: the project or the platform has changed since.",
                code="stale-plan",
                hint="Create a new one with `fnkit plan --out FILE`.",
            )
        if not prepared.desired.functions and not deletions(prepared.plan):
            raise ProjectError(
                "No handler found. Mark one with @function, or declare it in the settings.",
                code="no-handler",
                hint="`fnkit scan` shows what was found.",
            )
        if not approve(prepared.plan, prepared.target.info):
            return prepared, None
        context = ApplyContext(
            api=api,
            limiter=limiter,
            report=report,
            archives=prepared.archives,
            previous_archives=prepared.previous_archives,
            secrets=prepared.secrets,
            platform=prepared.target.info,
        )
        applied = apply_plan(prepared.plan, prepared.observed, context)
        applied = replace(applied, idle_triggers=_idle_triggers(prepared, applied, context))
        done = [one.name for one in applied.functions if one.failure is None]
        save_deployed_slices(prepared.desired, done, prepared.archives, cache.slices)
        return prepared, applied


def _idle_triggers(inputs: DeployInputs, applied: ApplyResult, context: ApplyContext) -> tuple[IdleTrigger, ...]:
    """Return the idle triggers of the functions that were deployed, or are as they should be."""
    triggers = {one.name: len(one.triggers) for one in inputs.desired.functions}
    ready = {
        one.id: (one.name, triggers.get(one.name, 0)) for one in applied.functions if one.status == Status.READY
    }
    return find_idle_triggers(ready, context.api, context.limiter)


def destroy(
    identity: ProjectIdentity,
    api: FunctionsApi,
    *,
    cache: CacheDirectory,
    report: EventCallback,
    approve: ApproveCallback,
) -> tuple[Plan, ApplyResult | None]:
    """Delete everything that a project and its stage own. The project's code need not be valid.

    Args:
        identity: Names of the project, stage and namespace.
        api: The API to delete from.
        cache: The cache directory.
        report: Called for each event, from several threads.
        approve: Called with the plan before anything changes.

    Returns: The plan, and the result; the result is ``None`` when there was nothing to delete or the plan was not
        approved.

    Raises:
        FnkitError: Nothing was changed.
    """
    limiter = AdaptiveLimiter()
    endpoint = api.endpoint
    subject = (endpoint.api_url, endpoint.region, str(identity.root), identity.stage)
    with deploy_lock(cache.locks, key=subject, wait=True, report=report):
        observed = observe_namespace(api, identity.namespace, limiter)
        plan = plan_destroy(
            observed,
            project=identity.project,
            stage=identity.stage,
            namespace=identity.namespace,
            api_url=endpoint.api_url,
            region=endpoint.region,
            project_id=endpoint.project_id,
        )
        if plan.is_empty or not approve(plan, limiter.call(api.platform_info)):
            return plan, None
        return plan, apply_plan(plan, observed, ApplyContext(api=api, limiter=limiter, report=report))
