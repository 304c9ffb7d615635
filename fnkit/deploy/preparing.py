"""Everything that comes before a change is made, as one pipeline.

1. **Ask** the endpoint what it is: its runtimes, and on our own platform what runs them.
2. **Load** the project for them. No user code runs.
3. **Read secrets** from the environment and ``.env``. They stay in memory, by name.
4. **Bundle**: archives and a digest for each function. Nothing is uploaded.
5. **Observe** what is live, in as few requests as planning needs. Only reads.
6. **Plan**: pure. What differs becomes a change with its reasons.

``fnkit plan`` ends here; ``fnkit deploy`` hands the same value to ``fnkit.deploy.applying``. So the two cannot
drift apart.
"""

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
    """What a person asked to deploy.

    names: the functions, ``None`` for all. prune: delete what left the code. refresh: fetch every list.
    """

    directory: Path
    stage: str = ""
    names: frozenset[str] | None = None
    prune: bool = True
    refresh: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A plan and all that applying it needs."""

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
        """Zips by content digest."""
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
    """Run the pipeline.

    Raises:
        ProjectInvalid: with all of the project's problems, missing secrets among them.
        BundleError: an archive cannot be built.
        ApiError: the endpoint refused or could not be reached.
        DeployError: a name belongs to somebody else.
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
    remembered = recall_slices(observed, cache.slices)
    observed = with_slices(observed, remembered)
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
        last_good={digest: Path(slice_.archive) for digest, slice_ in remembered.items()},
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
    """Build the archives for what the site runs, in ``out`` or the cache. Raises ``BundleError``."""
    chosen = [spec for spec in project.functions if names is None or spec.name in names]
    return bundle_project(
        project,
        site.targets(spec.runtime for spec in chosen),
        out=out or cache.archives,
        cache=cache.bundler,
        kind=site.kind,
        names=names,
        report=_teller(report),
    )


def lock_for(project: Project, site: Site, report: Report, *, upgrade: bool, backend: Backend) -> tuple[Lock, ...]:
    """Resolve the requirements for what the site runs and write the locks. Raises ``BundleError``."""
    targets = site.targets(spec.runtime for spec in project.functions)
    return lock_project(project, targets, kind=site.kind, upgrade=upgrade, backend=backend, report=_teller(report))


def _teller(report: Report) -> Callable[[BundleProgress], None]:
    """Return what turns the bundler's progress into a deploy's events."""

    def tell(progress: BundleProgress) -> None:
        count = f" {progress.done}/{progress.total}" if progress.total else ""
        report(Step("bundle", progress.runtime, f"{progress.stage}{count} {progress.detail}".rstrip()))

    return tell


def check_names(project: Project, names: frozenset[str] | None) -> None:
    """Refuse names that the project does not have.

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
