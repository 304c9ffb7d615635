"""Makes the inputs of a deploy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from fnkit.bundler import Backend, Bundle, BundleProgress, Lock, bundle_project, lock_project
from fnkit.client.api import FunctionsApi
from fnkit.deploy.archives import Archives
from fnkit.deploy.events import Report, Step
from fnkit.deploy.loading import load_project
from fnkit.deploy.observing import observe, observe_children
from fnkit.deploy.pacing import Pace
from fnkit.deploy.places import CacheFolder
from fnkit.deploy.site import Site, ask_site
from fnkit.deploy.slice_memory import recall_slices, with_slices
from fnkit.deploy.verdicts import judge_secrets
from fnkit.errors import UsageError
from fnkit.plan import Desired, Observed, Plan, desired_state, make_plan
from fnkit.project import Project, read_secret_values

__all__ = ["Prepared", "Wish", "bundle_for", "check_names", "lock_for", "prepare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
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
class Prepared:
    """A plan and everything needed to apply it.

    Attributes:
        previous_archives: Zip files by slice digest of live slices, where this machine has a record of them.
        secrets: Values by name; omitted from ``repr``.
    """

    site: Site
    project: Project
    bundles: tuple[Bundle, ...]
    desired: Desired
    observed: Observed
    plan: Plan
    last_good: Archives
    secrets: Mapping[str, str] = field(repr=False)

    @property
    def archives(self) -> Archives:
        """Zip files by content digest."""
        return {bundle.digest: bundle.path for bundle in self.bundles}


def prepare(
    wish: Wish,
    api: FunctionsApi,
    *,
    environ: Mapping[str, str],
    cache: CacheFolder,
    pace: Pace,
    report: Report,
) -> Prepared:
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
    site = ask_site(api, pace)
    project = load_project(wish.directory, stage=wish.stage, available=site.available)
    check_names(project, wish.names)
    secrets = read_secret_values(project, environ)
    bundles = bundle_for(project, site, cache, wish.names, report)
    desired = desired_state(
        project,
        bundles,
        names=wish.names,
        project_id=api.endpoint.project_id,
        region=api.endpoint.region,
        nats_account=site.info.nats_account if site.info is not None else "",
    )
    observed = observe(api, project.namespace.name, pace)
    observed = observe_children(api, observed, desired, pace, refresh=wish.refresh)
    deployed = recall_slices(observed, cache.slices)
    observed = with_slices(observed, deployed)
    plan = make_plan(
        desired,
        observed,
        judge_secrets(observed, secrets, cache.secrets),
        api_url=api.endpoint.api_url,
        region=api.endpoint.region,
        project_id=api.endpoint.project_id,
        prune=wish.prune,
    )
    return Prepared(
        site=site,
        project=project,
        bundles=bundles,
        desired=desired,
        observed=observed,
        plan=plan,
        last_good={digest: Path(slice_.archive) for digest, slice_ in deployed.items()},
        secrets=secrets,
    )


def bundle_for(
    project: Project,
    site: Site,
    cache: CacheFolder,
    names: frozenset[str] | None,
    report: Report,
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
        site.targets(spec.runtime for spec in selected),
        out=out or cache.archives,
        cache=cache.bundler,
        kind=site.kind,
        names=names,
        report=_teller(report),
    )


def lock_for(project: Project, site: Site, report: Report, *, upgrade: bool, backend: Backend) -> tuple[Lock, ...]:
    """Resolve the requirements for a target and write the lock files.

    Raises:
        BundleError: The requirements cannot be resolved.
    """
    targets = site.targets(spec.runtime for spec in project.functions)
    return lock_project(project, targets, kind=site.kind, upgrade=upgrade, backend=backend, report=_teller(report))


def _teller(report: Report) -> Callable[[BundleProgress], None]:
    """Return a callback that reports the bundler's progress as events of a deploy."""

    def tell(progress: BundleProgress) -> None:
        count = f" {progress.done}/{progress.total}" if progress.total else ""
        report(Step("bundle", progress.runtime, f"{progress.stage}{count} {progress.detail}".rstrip()))

    return tell


def check_names(project: Project, names: frozenset[str] | None) -> None:
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
