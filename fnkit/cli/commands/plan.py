"""``fnkit plan``: show the changes that a deploy would make."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.help import command
from fnkit.cli.options import ApiOptions, CommonOptions, api_options, common_options

if TYPE_CHECKING:
    from fnkit.plan import Plan

_EXIT_CHANGES = 2


@command()
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Save the plan for `deploy --plan`.",
)
@click.option("--exit-code", is_flag=True, help="Exit with 2 if there are changes, and with 1 on errors.")
@click.option("--refresh", is_flag=True, help="Fetch all resources, also those assumed unchanged.")
@click.option("--markdown", is_flag=True, help="Print a Markdown table, for a comment on a pull request.")
@click.option(
    "--prune/--no-prune",
    default=True,
    help="Plan to delete resources that are no longer in the code.  [default: prune]",
)
@common_options
@api_options
def plan(
    common: CommonOptions,
    api: ApiOptions,
    *,
    out: Path | None,
    exit_code: bool,
    refresh: bool,
    markdown: bool,
    prune: bool,
) -> int | None:
    """Show the changes that a deploy would make."""
    from fnkit.errors import FnkitError

    try:
        computed, platform = _make_plan(common, api, refresh=refresh, prune=prune)
    except FnkitError as error:
        if exit_code:
            error.exit_code = 1  # with --exit-code, 2 means changes and nothing else
        raise
    from fnkit.cli.views.plan import PlanView
    from fnkit.plan.model import encode_plan

    if out is not None:
        out.write_bytes(encode_plan(computed))
        common.output.message(f"Saved the plan to {out}.")
    common.output.result(
        PlanView(
            plan=computed,
            platform=platform,
            apply_command=_apply_command(common, api, out, prune=prune),
            verbose=common.output.verbosity > 0,
            markdown=markdown,
        )
    )
    return _EXIT_CHANGES if exit_code and not computed.is_empty else None


def _make_plan(common: CommonOptions, api: ApiOptions, *, refresh: bool, prune: bool) -> tuple[Plan, str]:
    """Return the plan, and the name of the platform that it is for."""
    from fnkit.cli.deploy_progress import deploy_progress
    from fnkit.cli.endpoints import open_api, platform_name
    from fnkit.deploy.pipeline import DeployRequest, prepare_inputs
    from fnkit.deploy.retries import AdaptiveLimiter
    from fnkit.deploy.user_cache import open_cache_directory

    request = DeployRequest(directory=common.directory, stage=common.stage, refresh=refresh, prune=prune)
    with open_api(common, api) as (client, _), deploy_progress(common.output, "Planning") as progress:
        prepared = prepare_inputs(
            request,
            client,
            environ=os.environ,
            cache=open_cache_directory(os.environ),
            limiter=AdaptiveLimiter(),
            report=progress.report,
        )
        return prepared.plan, platform_name(client.endpoint)


def _apply_command(common: CommonOptions, api: ApiOptions, out: Path | None, *, prune: bool) -> str:
    from fnkit.cli.suggestions import suggested_command

    options = () if prune else ("--no-prune",)
    return suggested_command(common, api, "deploy", *(("--plan", str(out)) if out is not None else options))
