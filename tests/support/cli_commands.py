"""Lists every command of the command line, and loads it."""

from __future__ import annotations

from collections.abc import Iterator

import click

from fnkit.cli.app import LazyGroup, application

__all__ = ["command_for", "command_paths", "command_summary", "is_group"]


def command_paths() -> list[tuple[str, ...]]:
    """Return ``("scan",)``, …, ``("platform", "start")``, …; a group precedes its commands."""
    return list(_paths_below((), application))


def is_group(verb: tuple[str, ...]) -> bool:
    """Return whether the command is a group."""
    return isinstance(command_for(verb), LazyGroup)


def command_summary(verb: tuple[str, ...]) -> str:
    """Return the command's line in the help of its group, which does not import the command."""
    group = command_for(verb[:-1])
    assert isinstance(group, LazyGroup)
    return group.verbs[verb[-1]][1]


def command_for(verb: tuple[str, ...]) -> click.Command:
    """Import and return the command."""
    command: click.Command = application
    for name in verb:
        assert isinstance(command, LazyGroup), verb
        found = command.get_command(click.Context(command), name)
        assert found is not None, verb
        command = found
    return command


def _paths_below(verb: tuple[str, ...], group: click.Command) -> Iterator[tuple[str, ...]]:
    assert isinstance(group, LazyGroup)
    for name in group.verbs:
        inner = (*verb, name)
        yield inner
        if is_group(inner):
            yield from _paths_below(inner, command_for(inner))
