"""``fnkit cron``: list, next, run, history."""

from __future__ import annotations

from typing import Final

import click

from fnkit.cli.app import LazyGroup
from fnkit.cli.completion import complete_crons
from fnkit.cli.help import command
from fnkit.cli.options import (
    ApiOptions,
    CommonOptions,
    DeliveryQuery,
    api_options,
    common_options,
    delivery_options,
)

CRON_VERBS: Final[dict[str, tuple[str, str]]] = {
    "list": (f"{__name__}:list_crons", "List deployed crons with their next and last runs."),
    "next": (f"{__name__}:next_runs", "Preview the next runs of crons or of a schedule."),
    "run": (f"{__name__}:run", "Run a cron now."),
    "history": (f"{__name__}:history", "Show the runs of a cron, and replay failed ones."),
}


@click.group(cls=LazyGroup, verbs=CRON_VERBS)
def cron() -> None:
    """Preview, run and inspect crons."""


@command()
@api_options
@common_options
def list_crons(common: CommonOptions, api: ApiOptions) -> None:
    """List deployed crons with their next and last runs."""
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.times import platform_time
    from fnkit.cli.views.crons import CronsView
    from fnkit.deploy.status import latest_deliveries, live_sources

    with open_api(common, api) as (client, identity):
        found = live_sources(client, identity.namespace, client.crons.list)
        last = latest_deliveries(client, "crons", [one.resource.id for one in found])
        now = platform_time(client.platform_info())
    common.output.result(CronsView(found, last, now))


@command()
@click.argument("name", metavar="[NAME|EXPRESSION]", default="", shell_complete=complete_crons)
@click.option(
    "--count", metavar="N", type=click.IntRange(1, 1000), default=5, help="Number of runs to show.  [default: 5]"
)
@common_options
def next_runs(common: CommonOptions, *, name: str, count: int) -> None:
    """Preview the next runs of crons or of a schedule.

    NAME is the name of a cron or of a function. EXPRESSION is a schedule as one argument, such as
    '*/5 * * * MON-FRI'. Without an argument, show all crons of the project. No platform is contacted.
    """
    from datetime import UTC, datetime

    from fnkit.cli.schedule_preview import preview_schedules
    from fnkit.cli.views.crons import SchedulePreviewView

    now = datetime.now(UTC)
    previews = preview_schedules(common, name, count, after=now.timestamp())
    common.output.result(SchedulePreviewView(previews, now))


@command()
@click.argument("name", shell_complete=complete_crons)
@api_options
@common_options
def run(common: CommonOptions, api: ApiOptions, *, name: str) -> int | None:
    """Run a cron now.

    NAME is the name of a cron, the name of a function with one cron, function/name, or an ID. The run does not
    replace a scheduled run. Scaleway cannot run crons on demand; there, the cron's request is sent to its function
    directly. The exit code is 1 if the function fails.
    """
    from fnkit.cli.commands.deliveries import run_cron
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.suggestions import logs_command
    from fnkit.cli.views.deliveries import CronRunView
    from fnkit.deploy.status import live_sources, select_one

    with open_api(common, api) as (client, identity):
        event_source = select_one(live_sources(client, identity.namespace, client.crons.list), name, "cron")
        delivery, lines = run_cron(client, event_source)
    if not common.output.as_json:
        for line in lines:
            common.output.message(line)
    common.output.result(CronRunView(delivery, lines))
    if delivery.status == "succeeded":
        return None
    common.output.message(f"Its logs: `{logs_command(common, api, event_source.function.name)}`")
    return 1


@command()
@click.argument("name", shell_complete=complete_crons)
@delivery_options
@api_options
@common_options
def history(common: CommonOptions, api: ApiOptions, query: DeliveryQuery, *, name: str) -> int | None:
    """Show the runs of a cron, and replay failed ones.

    NAME is the name of a cron, the name of a function with one cron, function/name, or an ID.
    """
    from fnkit.cli.commands.deliveries import show_deliveries
    from fnkit.cli.endpoints import open_api
    from fnkit.deploy.status import live_sources, select_one

    with open_api(common, api) as (client, identity):
        event_source = select_one(live_sources(client, identity.namespace, client.crons.list), name, "cron")
        return show_deliveries(common.output, client, "crons", event_source.resource.id, query)
