"""``fnkit cron``: list, next, fire, history."""

from __future__ import annotations

from typing import Final

import click

from fnkit.cli.application import LazyGroup
from fnkit.cli.delivery_options import delivery_options
from fnkit.cli.options import ApiOptions, CommonOptions, api_options, common_options

__all__ = ["CRON_VERBS", "cron", "every", "fire", "history", "upcoming"]

_HERE: Final = "fnkit.cli.commands.cron"

CRON_VERBS: Final[dict[str, tuple[str, str]]] = {
    "list": (f"{_HERE}:every", "Show the crons on the platform, with their next and last firing."),
    "next": (f"{_HERE}:upcoming", "Preview when crons fire, from the project or any expression."),
    "fire": (f"{_HERE}:fire", "Fire a cron now, whatever its schedule says."),
    "history": (f"{_HERE}:history", "Show what a cron fired, and fire failed ones again."),
}


@click.group(cls=LazyGroup, verbs=CRON_VERBS)
def cron() -> None:
    """Crons: when they fire, what they fired, and firing now."""


@click.command()
@api_options
@common_options
def every(common: CommonOptions, api: ApiOptions) -> None:
    """Show the crons on the platform, with their next and last firing."""
    import time

    from fnkit.cli.firing import open_api
    from fnkit.cli.views.cron import CronsView
    from fnkit.deploy.sources import last_deliveries, live_crons

    with open_api(common, api) as (client, identity):
        found = live_crons(client, identity.namespace)
        last = last_deliveries(client, "crons", [one.source.id for one in found])
        platform = client.platform()
    now = time.time() if platform is None or platform.now is None else platform.now
    common.output.result(CronsView.of(found, last, now))


@click.command()
@click.argument("name", metavar="[NAME|EXPRESSION]", default="")
@click.option("--count", metavar="N", type=click.IntRange(1, 1000), default=5, help="How many.  [default: 5]")
@common_options
def upcoming(common: CommonOptions, *, name: str, count: int) -> None:
    """Preview when crons fire, from the project or any expression.

    NAME is a cron's name or its function's; EXPRESSION is a schedule in one argument, such as '*/5 * * * MON-FRI'.
    Without either, every cron of the project is shown. Nothing is asked of a platform.
    """
    from fnkit.cli.preview import preview
    from fnkit.cli.views.cron import UpcomingView

    common.output.result(UpcomingView(preview(common, name, count)))


@click.command()
@click.argument("name")
@api_options
@common_options
def fire(common: CommonOptions, api: ApiOptions, *, name: str) -> int | None:
    """Fire a cron now, whatever its schedule says.

    NAME is a cron's name, its function's, function/name, or its id. It does not count as a tick. At Scaleway, which
    cannot fire crons, its function is called as the cron would call it. It ends with 1 when the function fails.
    """
    from fnkit.cli.firing import fire_now, open_api
    from fnkit.cli.views.deliveries import FiredView
    from fnkit.deploy.sources import chosen, live_crons

    with open_api(common, api) as (client, identity):
        firer = chosen(live_crons(client, identity.namespace), name, "cron")
        delivery = fire_now(client, firer)
    common.output.result(FiredView(delivery))
    return None if delivery.status == "succeeded" else 1


@click.command()
@click.argument("name")
@delivery_options
@api_options
@common_options
def history(
    common: CommonOptions,
    api: ApiOptions,
    *,
    name: str,
    failed: bool,
    limit: int,
    replay: tuple[str, ...],
    further: tuple[str, ...],
    replay_failed: bool,
) -> int | None:
    """Show what a cron fired, and fire failed ones again.

    NAME is a cron's name, its function's, function/name, or its id.
    """
    from fnkit.cli.firing import Asked, open_api, show_deliveries
    from fnkit.deploy.sources import chosen, live_crons

    asked = Asked(failed=failed, limit=limit, replay=replay, further=further, replay_failed=replay_failed)
    with open_api(common, api) as (client, identity):
        firer = chosen(live_crons(client, identity.namespace), name, "cron")
        return show_deliveries(common.output, client, "crons", firer.source.id, asked)
