"""Bare ``fnkit``: the three commands that make sense in this folder now."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["next_commands", "show_next_commands"]


def next_commands(folder: Path) -> tuple[tuple[str, str], ...]:
    """Three commands with a word on each: inside a project, and outside."""
    from fnkit.project import find_root

    if find_root(folder) is not None:
        return (
            ("fnkit scan", "what this project declares"),
            ("fnkit deploy --local", "run it on this machine"),
            ("fnkit deploy", "make it so on Scaleway"),
        )
    return (
        ("fnkit new shop", "a project that deploys as it stands"),
        ("fnkit platform start", "the platform on this machine"),
        ("fnkit --help", "every command"),
    )


def show_next_commands() -> int:
    """Print them."""
    commands = next_commands(Path.cwd())
    width = max(len(command) for command, _ in commands)
    click.echo("In this folder, try:\n")
    for command, reason in commands:
        click.echo(f"  {command:<{width}}  {reason}")
    return 0
