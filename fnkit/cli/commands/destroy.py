"""``fnkit destroy``: delete the deployed resources of the project."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, api_options, common_options

if TYPE_CHECKING:
    from fnkit.deploy.events import ApplyResult
    from fnkit.plan import Plan


@command()
@click.option("--yes", is_flag=True, help="Delete without asking for confirmation.")
@common_options
@api_options
def destroy(common: CommonOptions, api: ApiOptions, *, yes: bool) -> int | None:
    """Delete the deployed resources of the project.

    Only resources that fnkit created for this project and stage are deleted.
    """
    from fnkit.cli.deletion_approval import approve_deletions
    from fnkit.cli.deploy_progress import deploy_progress
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.views.deploy import DestroyView
    from fnkit.deploy import pipeline
    from fnkit.deploy.user_cache import open_cache_directory

    with open_api(common, api) as (client, identity), deploy_progress(common.output, "Destroying") as progress:
        plan, applied = pipeline.destroy(
            identity,
            client,
            cache=open_cache_directory(os.environ),
            report=progress.report,
            approve=lambda plan, info: approve_deletions(plan, info, common.output, progress, yes=yes),
        )
    if applied is None and not plan.is_empty:
        common.output.message("Nothing was deleted.")
        return 1
    failures = () if applied is None else applied.all_failures
    common.output.result(
        DestroyView(deleted=_deleted_resources(plan, applied), failures=failures, notes=plan.notes)
    )
    return 1 if failures else None


def _deleted_resources(plan: Plan, applied: ApplyResult | None) -> tuple[tuple[str, str], ...]:
    from fnkit.plan import NamespaceChange

    if applied is None:
        return ()
    gone = [("function", one.name) for one in applied.functions if one.failure is None]
    if not applied.failed:
        gone += [("namespace", change.name) for change in plan.changes if isinstance(change, NamespaceChange)]
    return tuple(gone)
