"""``fnkit platform logs``: show the logs of the platform's processes."""

from __future__ import annotations

import time
from pathlib import Path

import click

from fnkit.cli.commands.platform import data_dir_option
from fnkit.cli.options import CommonOptions, common_options
from fnkit.cli.output import Output

__all__ = ["logs"]

_PROCESSES = ("supervisor", "control", "data-plane", "nats")
_POLL_SECONDS = 0.2


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
@data_dir_option
@common_options
def logs(common: CommonOptions, *, data_dir: Path, process: tuple[str, ...], lines: int, follow: bool) -> None:
    """Show the logs of the platform's processes."""
    from fnkit.platform.layout import DataLayout
    from fnkit.platform.server.platform_log import LogFileFollower, tail_log

    layout = DataLayout(data_dir)
    chosen = process or _PROCESSES
    # Readers start at the current end of the files, so opening them before the tail is printed loses no line.
    readers = {name: LogFileFollower(layout, name) for name in chosen} if follow else {}
    for name in chosen:
        for line in tail_log(layout, name, lines):
            _print_line(common.output, name, line)
    while follow:
        for name, reader in readers.items():
            for line in reader.read_new_lines():
                _print_line(common.output, name, line)
        time.sleep(_POLL_SECONDS)


def _print_line(output: Output, process: str, line: str) -> None:
    output.item(f"{process:<10} | {line}", {"process": process, "line": line})
