"""Every verb of the command line, and the command behind it."""

from __future__ import annotations

import click

from fnkit.cli.application import VERBS, application
from fnkit.cli.commands.platform import PLATFORM_VERBS, platform

__all__ = ["command_for", "every_verb"]


def every_verb() -> list[tuple[str, ...]]:
    """``("scan",)``, …, ``("platform", "start")``, …: groups come before what they hold."""
    verbs: list[tuple[str, ...]] = []
    for verb in VERBS:
        verbs.append((verb,))
        if verb == "platform":
            verbs.extend((verb, inner) for inner in PLATFORM_VERBS)
    return verbs


def command_for(verb: tuple[str, ...]) -> click.Command:
    """The command, imported."""
    group: click.Group = application if len(verb) == 1 else platform
    command = group.get_command(click.Context(group), verb[-1])
    assert command is not None, verb
    return command
