"""Every verb of the command line, and the command behind it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from fnkit.cli.app import LazyGroup, application

__all__ = ["command_for", "every_verb", "is_group", "table_line"]


def every_verb() -> list[tuple[str, ...]]:
    """``("scan",)``, …, ``("platform", "start")``, …: groups come before what they hold."""
    return list(_below((), application))


def is_group(verb: tuple[str, ...]) -> bool:
    """Whether the verb only holds others."""
    return isinstance(command_for(verb), LazyGroup)


def table_line(verb: tuple[str, ...]) -> str:
    """What the group's table says of the verb, which is read without importing it."""
    group = command_for(verb[:-1])
    assert isinstance(group, LazyGroup)
    return group.verbs[verb[-1]][1]


def command_for(verb: tuple[str, ...]) -> click.Command:
    """The command, imported."""
    command: click.Command = application
    for name in verb:
        assert isinstance(command, LazyGroup), verb
        found = command.get_command(click.Context(command), name)
        assert found is not None, verb
        command = found
    return command


def _below(verb: tuple[str, ...], group: click.Command) -> Iterator[tuple[str, ...]]:
    assert isinstance(group, LazyGroup)
    for name in group.verbs:
        inner = (*verb, name)
        yield inner
        if is_group(inner):
            yield from _below(inner, command_for(inner))
