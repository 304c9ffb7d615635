"""The options of the commands that show deliveries."""

from __future__ import annotations

import click

from fnkit.cli.options import CommandFunction

__all__ = ["delivery_options"]


def delivery_options(command: CommandFunction) -> CommandFunction:
    """Add the options of ``cron history`` and ``trigger deliveries`` to a command.

    The command receives ``failed``, ``limit``, ``replay``, ``replay_failed``, and ``further``: the IDs after the
    first one of ``--replay A B C``. A click option takes a fixed number of values, so these are arguments.
    """
    decorators = (
        click.argument("further", metavar="", nargs=-1),
        click.option("--failed", is_flag=True, help="Show only failed and dead deliveries."),
        click.option(
            "--limit",
            metavar="N",
            type=click.IntRange(1, 1000),
            default=20,
            help="Maximum number of deliveries to show.  [default: 20]",
        ),
        click.option(
            "--replay", metavar="ID...", multiple=True, help="Replay these deliveries and show the results."
        ),
        click.option(
            "--replay-failed", is_flag=True, help="Replay all failed deliveries that have not been replayed."
        ),
    )
    for decorate in reversed(decorators):
        command = decorate(command)
    return command
