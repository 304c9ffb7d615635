"""``fnkit platform logs``: show the logs of the platform's processes."""

from __future__ import annotations

import time
from pathlib import Path

import click

from fnkit.cli.commands.platform import data_option
from fnkit.cli.options import CommonOptions, common_options
from fnkit.cli.output import Output

__all__ = ["logs"]

_PROCESSES = ("supervisor", "control", "data-plane", "nats")
_INTERVAL = 0.2


@click.command()
@click.option(
    "--process",
    type=click.Choice(_PROCESSES),
    multiple=True,
    help="Show only this process; may be repeated.  [default: all]",
)
@click.option(
    "--lines",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    metavar="N",
    help="Number of lines per process.",
)
@click.option("-f", "--follow", is_flag=True, help="Print new lines until Ctrl-C.")
@data_option
@common_options
def logs(common: CommonOptions, *, data_dir: Path, process: tuple[str, ...], lines: int, follow: bool) -> None:
    """Show the logs of the platform's processes."""
    from fnkit.platform.layout import Layout
    from fnkit.platform.server.platform_log import LogReader, tail

    layout = Layout(data_dir)
    chosen = process or _PROCESSES
    # Readers start at the current end of the files, so opening them before the tail is printed loses no line.
    readers = {name: LogReader(layout, name) for name in chosen} if follow else {}
    for name in chosen:
        for line in tail(layout, name, lines):
            _print(common.output, name, line)
    while follow:
        for name, reader in readers.items():
            for line in reader.new_lines():
                _print(common.output, name, line)
        time.sleep(_INTERVAL)


def _print(output: Output, process: str, line: str) -> None:
    output.line(f"{process:<10} | {line}", {"process": process, "line": line})
