"""``fnkit event``: print events as handlers get them."""

from __future__ import annotations

import json
from typing import Final

import click

from fnkit.cli.app import LazyGroup
from fnkit.cli.completion import complete_crons
from fnkit.cli.help import command
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import UsageError

EVENT_VERBS: Final[dict[str, tuple[str, str]]] = {
    "http": (f"{__name__}:http", "Print the event of an HTTP request."),
    "cron": (f"{__name__}:cron", "Print the event of a cron's run."),
    "nats": (f"{__name__}:nats", "Print the event of a message from a NATS subject."),
    "sqs": (f"{__name__}:sqs", "Print the event of a message from an SQS queue."),
}


@click.group(cls=LazyGroup, verbs=EVENT_VERBS)
def event() -> None:
    """Print events for tests and for invoke --event."""


@command()
@click.option("-d", "--data", metavar="TEXT", help="Request body: text, @FILE, or @- for standard input.")
@click.option("-X", "--method", metavar="VERB", help="HTTP method.  [default: GET; POST with a body]")
@click.option("--path", metavar="PATH", help="Request path with query string.  [default: /]")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="Request header; may be repeated."
)
@common_options
def http(
    common: CommonOptions, *, data: str | None, method: str | None, path: str | None, headers: tuple[str, ...]
) -> None:
    """Print the event of an HTTP request."""
    from fnkit.cli.commands.invoke import build_request, read_data
    from fnkit.cli.views.event import EventView
    from fnkit.invoke.sample_events import http_event

    request = build_request({}, read_data(data), method, path, headers)
    common.output.result(EventView(http_event(request)))


@command()
@click.argument("name", default="", shell_complete=complete_crons)
@click.option("--args", "args_text", metavar="JSON", help="Arguments of the cron, as a JSON object.")
@common_options
def cron(common: CommonOptions, *, name: str, args_text: str | None) -> None:
    """Print the event of a cron's run.

    NAME is the name of a cron of the project, of a function with one cron, or function/name; its arguments are used
    unless --args gives others.
    """
    from fnkit.cli.views.event import EventView
    from fnkit.invoke.sample_events import cron_event

    if name and args_text is not None:
        raise UsageError("NAME and --args exclude each other.", hint="Leave out one of them.")
    args = _cron_args(common, name) if name else _parse_args(args_text or "{}")
    common.output.result(EventView(cron_event(args)))


@command()
@click.option("-d", "--data", metavar="TEXT", help="The message: text, @FILE, or @- for standard input.")
@common_options
def nats(common: CommonOptions, *, data: str | None) -> None:
    """Print the event of a message from a NATS subject.

    The event does not have the subject.
    """
    _print_message(common, data)


@command()
@click.option("-d", "--data", metavar="TEXT", help="The message: text, @FILE, or @- for standard input.")
@common_options
def sqs(common: CommonOptions, *, data: str | None) -> None:
    """Print the event of a message from an SQS queue.

    The event has neither the queue nor the message's attributes.
    """
    _print_message(common, data)


def _print_message(common: CommonOptions, data: str | None) -> None:
    from fnkit.cli.commands.invoke import read_data
    from fnkit.cli.views.event import EventView
    from fnkit.invoke.sample_events import message_event

    common.output.result(EventView(message_event(read_data(data))))


def _parse_args(text: str) -> dict[str, object]:
    try:
        args = json.loads(text)
    except ValueError as error:
        raise UsageError(f"--args is not JSON: {error}.", code="bad-event") from None
    if not isinstance(args, dict):
        raise UsageError(
            "--args is not a JSON object.", code="bad-event", hint="""Example: --args '{"full": true}'"""
        )
    return args


def _cron_args(common: CommonOptions, name: str) -> dict[str, object]:
    from fnkit.deploy.loading import load_project

    project = load_project(common.directory, stage=common.stage)
    crons = [(spec.name, one) for spec in project.functions for one in spec.crons]
    matches = [one for function, one in crons if name in (one.name, function, f"{function}/{one.name}")]
    if len(matches) == 1:
        return dict(matches[0].args)
    known = ", ".join(f"{function}/{one.name}" for function, one in crons) or "none"
    found = f"{len(matches)} crons" if matches else "no cron"
    raise UsageError(f"The project has {found} {name}.", code="no-such-source", hint=f"There are: {known}.")
