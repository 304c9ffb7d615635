"""The help of commands: examples, a command's own options, and below them groups of options in a fixed order.

Colours are the terminal's own, and only on one. click wraps to the width of the terminal, 100 columns at most.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import click

from fnkit.cli.examples import EXAMPLES, Examples

Function = TypeVar("Function", bound=Callable[..., Any])

COMMON_GROUP: Final = "Common options"
API_GROUP: Final = "API options"
_LAST_GROUPS: Final = (API_GROUP, COMMON_GROUP)


class GroupedOption(click.Option):
    """An option that the help lists under a heading.

    Args:
        group: The heading; ``""`` for the command's own options.
        **rest: Keyword arguments of ``click.Option``.
    """

    def __init__(self, *flags: Any, group: str = "", **rest: Any) -> None:  # arguments of click.Option
        super().__init__(*flags, **rest)
        self.group = group


class Formatter(click.HelpFormatter):
    """Writes headings in bold and names in colour, which click removes where there is no terminal."""

    def write_heading(self, heading: str) -> None:
        """Write a heading."""
        self.write(f"{'':>{self.current_indent}}{click.style(heading + ':', bold=True)}\n")

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write the line of usage."""
        del prefix
        super().write_usage(prog, args, prefix=click.style("Usage:", bold=True) + " ")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of names and texts."""
        super().write_dl([(click.style(name, fg="cyan"), text) for name, text in rows], col_max, col_spacing)


class HelpContext(click.Context):
    """A context whose help is written by ``Formatter``."""

    formatter_class = Formatter


class Command(click.Command):
    """A command whose help has examples and groups of options."""

    context_class = HelpContext

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the groups of options."""
        write_examples(formatter, EXAMPLES.get(ctx.command_path, ()))
        write_options(self, ctx, formatter)


def command(name: str | None = None, **rest: Any) -> Callable[[Callable[..., int | None]], Command]:
    """Make a function a command; the arguments are those of ``click.command``."""
    return click.command(name, cls=Command, **rest)


def option_group(heading: str) -> Callable[..., Callable[[Function], Function]]:
    """Return ``click.option`` for options that the help lists under a heading."""

    def option(*flags: str, **rest: Any) -> Callable[[Function], Function]:  # arguments of click.option
        return click.option(*flags, cls=GroupedOption, group=heading, **rest)

    return option


def write_examples(formatter: click.HelpFormatter, examples: Examples) -> None:
    """Write command lines, each with what it does: beside it, or below it if that does not fit."""
    if not examples:
        return
    widest = max(len(line) for line, _ in examples)
    is_wide = widest + 2 + max(len(text) for _, text in examples) + 2 <= formatter.width
    with formatter.section("Examples"):
        for line, text in examples:
            indent = " " * formatter.current_indent
            shown = click.style(line, fg="green")
            if is_wide:
                formatter.write(f"{indent}{shown}{' ' * (widest - len(line) + 2)}{text}\n")
            else:
                formatter.write(f"{indent}{shown}\n")
                formatter.indent()
                formatter.write_text(text)
                formatter.dedent()


def write_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the options by their groups: the command's own ones first, those of every command last."""
    groups: dict[str, list[tuple[str, str]]] = {"": []}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
        if record is not None:
            name = parameter.group if isinstance(parameter, GroupedOption) else ""
            groups.setdefault(COMMON_GROUP if "--help" in parameter.opts else name, []).append(record)
    ordered = [name for name in groups if name not in _LAST_GROUPS] + [n for n in _LAST_GROUPS if n in groups]
    for name in ordered:
        if groups[name]:
            with formatter.section(name or "Options"):
                formatter.write_dl(groups[name])


def is_help_coloured(arguments: Sequence[str]) -> bool:
    """Return whether the help of a command line may have colours, before its options are parsed."""
    before_dashes = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and "--no-color" not in before_dashes
