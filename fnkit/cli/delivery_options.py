"""The options of both verbs that show deliveries."""

from __future__ import annotations

import click

from fnkit.cli.options import Verb

__all__ = ["delivery_options"]


def delivery_options(verb: Verb) -> Verb:
    """Give the verb ``failed``, ``limit``, ``replay``, ``further`` (ids behind the first) and ``replay_failed``."""
    decorators = (
        click.argument("further", metavar="", nargs=-1),
        click.option("--failed", is_flag=True, help="Only those that failed or are dead."),
        click.option(
            "--limit", metavar="N", type=click.IntRange(1, 1000), default=20, help="How many.  [default: 20]"
        ),
        click.option(
            "--replay", metavar="ID...", multiple=True, help="Deliver these again and show what became of them."
        ),
        click.option(
            "--replay-failed", is_flag=True, help="Deliver again everything that failed and was not repeated yet."
        ),
    )
    for decorate in reversed(decorators):
        verb = decorate(verb)
    return verb
