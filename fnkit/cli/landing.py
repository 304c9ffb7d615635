"""Suggests the next commands when ``fnkit`` runs without a command."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["suggested_commands", "show_suggested_commands"]


def suggested_commands(directory: Path) -> tuple[tuple[str, str], ...]:
    """Return three commands with a description each, depending on whether the directory is in a project."""
    from fnkit.project import find_root

    if find_root(directory) is not None:
        return (
            ("fnkit scan", "show the functions of this project"),
            ("fnkit deploy --local", "deploy to the local platform"),
            ("fnkit deploy", "deploy to Scaleway"),
        )
    return (
        ("fnkit new shop", "create a project"),
        ("fnkit platform start", "start the local platform"),
        ("fnkit --help", "list all commands"),
    )


def show_suggested_commands() -> int:
    """Print the suggested commands for the current directory, and return the exit code."""
    commands = suggested_commands(Path.cwd())
    width = max(len(command) for command, _ in commands)
    click.echo("Next commands in this directory:\n")
    for command, reason in commands:
        click.echo(f"  {command:<{width}}  {reason}")
    return 0
