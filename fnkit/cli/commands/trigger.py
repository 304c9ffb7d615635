"""``fnkit trigger``: list, send, deliveries."""

from __future__ import annotations

from typing import Final

import click

from fnkit.cli.app import LazyGroup
from fnkit.cli.completion import complete_triggers
from fnkit.cli.help import command
from fnkit.cli.options import (
    ApiOptions,
    CommonOptions,
    DeliveryQuery,
    api_options,
    common_options,
    delivery_options,
)

TRIGGER_VERBS: Final[dict[str, tuple[str, str]]] = {
    "list": (f"{__name__}:list_triggers", "List deployed triggers with their last delivery."),
    "send": (f"{__name__}:send", "Send a test message to a trigger."),
    "deliveries": (f"{__name__}:deliveries", "Show the deliveries of a trigger, and replay failed ones."),
}


@click.group(cls=LazyGroup, verbs=TRIGGER_VERBS)
def trigger() -> None:
    """Inspect triggers and their deliveries."""


@command()
@api_options
@common_options
def list_triggers(common: CommonOptions, api: ApiOptions) -> int | None:
    """List deployed triggers with their last delivery.

    The exit code is 1 if a trigger is in error.
    """
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.times import platform_time
    from fnkit.cli.views.triggers import TriggersView
    from fnkit.deploy.status import latest_deliveries, live_sources

    with open_api(common, api) as (client, identity):
        found = live_sources(client, identity.namespace, client.triggers.list)
        last = latest_deliveries(client, "triggers", [one.resource.id for one in found])
        platform = client.platform_info()
    listening = {} if platform is None else {one.id: one for one in platform.triggers}
    common.output.result(TriggersView(found, last, listening, platform_time(platform)))
    return 1 if any(one.resource.status == "error" for one in found) else None


@command()
@click.argument("name", shell_complete=complete_triggers)
@click.argument("message", default="")
@click.option("--subject", metavar="SUBJECT", help="NATS subject, if that of the trigger has wildcards.")
@api_options
@common_options
def send(common: CommonOptions, api: ApiOptions, *, name: str, message: str, subject: str | None) -> None:
    """Send a test message to a trigger.

    NAME is the name of a trigger, the name of a function with one trigger, function/name, or an ID. MESSAGE is
    text, @FILE, or - for standard input. The platform sends it to the trigger's NATS subject or SQS queue, from
    where it is delivered as any other message. Scaleway's API cannot send messages.
    """
    from fnkit.cli.commands.invoke import read_data
    from fnkit.cli.endpoints import open_api
    from fnkit.cli.suggestions import suggested_command
    from fnkit.cli.views.deliveries import SentMessageView
    from fnkit.contract.deliveries import SendMessage, encode_body
    from fnkit.deploy.status import live_sources, select_one
    from fnkit.errors import UsageError

    with open_api(common, api) as (client, identity):
        if not client.deliveries.is_available:
            raise UsageError(
                "Scaleway's API cannot send messages.",
                code="no-message-api",
                hint="Publish with a NATS or SQS client, or add --local for the local platform.",
            )
        event_source = select_one(live_sources(client, identity.namespace, client.triggers.list), name, "trigger")
        body, is_base64 = encode_body(read_data("@-" if message == "-" else message))
        request = SendMessage(body=body, is_base64=is_base64, subject=subject)
        sent = client.deliveries.send_message(event_source.resource.id, request)
    common.output.result(SentMessageView(event_source.qualified_name, sent))
    follow_up = suggested_command(common, api, "trigger", "deliveries", event_source.qualified_name, "--limit", "1")
    common.output.message(f"Its delivery: `{follow_up}`")


@command()
@click.argument("name", shell_complete=complete_triggers)
@delivery_options
@api_options
@common_options
def deliveries(common: CommonOptions, api: ApiOptions, query: DeliveryQuery, *, name: str) -> int | None:
    """Show the deliveries of a trigger, and replay failed ones.

    NAME is the name of a trigger, the name of a function with one trigger, function/name, or an ID.
    """
    from fnkit.cli.commands.deliveries import show_deliveries
    from fnkit.cli.endpoints import open_api
    from fnkit.deploy.status import live_sources, select_one

    with open_api(common, api) as (client, identity):
        event_source = select_one(live_sources(client, identity.namespace, client.triggers.list), name, "trigger")
        return show_deliveries(common.output, client, "triggers", event_source.resource.id, query)
