"""``fnkit deploy``: deploy the project."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.build_approval import ask_before_builds
from fnkit.cli.completion import complete_functions
from fnkit.cli.help import command
from fnkit.cli.options import (
    ApiOptions,
    CommonOptions,
    Confirmations,
    api_options,
    common_options,
    confirmation_options,
)

if TYPE_CHECKING:
    from fnkit.contract.platform import PlatformInfo
    from fnkit.deploy.events import ApplyResult
    from fnkit.deploy.pipeline import DeployInputs
    from fnkit.plan import Plan


@command()
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=complete_functions)
@click.option(
    "--plan",
    "plan_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Apply this saved plan; fail if it no longer fits.",
)
@confirmation_options
@click.option(
    "--prune/--no-prune", default=True, help="Delete resources that are no longer in the code.  [default: prune]"
)
@click.option("--refresh", is_flag=True, help="Fetch all resources, also those assumed unchanged.")
@click.option(
    "--no-lock-wait", is_flag=True, help="Fail instead of waiting if another deploy of this project is running."
)
@common_options
@api_options
def deploy(
    common: CommonOptions,
    api: ApiOptions,
    *,
    names: tuple[str, ...],
    plan_file: Path | None,
    confirmed: Confirmations,
    prune: bool,
    refresh: bool,
    no_lock_wait: bool,
) -> int | None:
    """Deploy the project.

    With NAME, deploy only these functions.
    """
    from fnkit.cli.deletion_approval import approve_deletions
    from fnkit.cli.deploy_progress import deploy_progress
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.next_steps import next_steps
    from fnkit.cli.views.deploy import DeployView
    from fnkit.deploy import pipeline
    from fnkit.deploy.pipeline import DeployRequest
    from fnkit.deploy.user_cache import open_cache_directory

    started = time.monotonic()
    saved_plan = _read_plan(plan_file) if plan_file is not None else None
    with open_api(common, api) as (client, _), deploy_progress(common.output, "Deploying") as progress:
        request = DeployRequest(
            directory=common.directory,
            stage=common.stage,
            names=frozenset(names) or None,
            prune=prune,
            refresh=refresh,
            allow_builds=ask_before_builds(common.output, progress, allowed=confirmed.allow_builds),
        )

        def approve(plan: Plan, info: PlatformInfo | None) -> bool:
            return approve_deletions(plan, info, common.output, progress, yes=confirmed.yes)

        try:
            prepared, applied = pipeline.deploy(
                request,
                client,
                environ=os.environ,
                cache=open_cache_directory(os.environ),
                report=progress.report,
                approve=lambda plan, info: approve_deletions(
                    plan, info, common.output, progress, yes=confirmed.yes
                ),
                saved_plan=saved_plan,
                wait=not no_lock_wait,
            )
        except KeyboardInterrupt:
            common.output.message("The deploy is incomplete. Run the same command again to finish it.")
            raise
    if applied is None:
        common.output.message("No changes were made.")
        return 1
    urls = _function_urls(prepared, applied)
    common.output.result(
        DeployView(
            applied=applied,
            urls=urls,
            seconds=time.monotonic() - started,
            next_commands=next_steps(common, api, prepared.project, applied, urls),
        )
    )
    return 1 if applied.failed else None


def _read_plan(file: Path) -> Plan:
    import msgspec

    from fnkit.errors import UsageError
    from fnkit.plan.model import decode_plan

    try:
        return decode_plan(file.read_bytes())
    except msgspec.DecodeError as error:
        raise UsageError(
            f"{file} is not a plan: {error}.", code="not-a-plan", hint="Create one with `fnkit plan --out FILE`."
        ) from None


def _function_urls(prepared: DeployInputs, applied: ApplyResult) -> dict[str, str]:
    from fnkit.deploy.target import function_url

    return {
        one.name: function_url(
            prepared.target.info,
            one.domain,
            region=applied.plan.region,
            namespace=applied.plan.namespace,
            function=one.name,
        )
        for one in applied.functions
        if one.domain
    }
