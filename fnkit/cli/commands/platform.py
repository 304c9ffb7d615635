"""``fnkit platform``: start, stop, status, reset, logs, env, trust, key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from fnkit.cli.application import LazyGroup
from fnkit.cli.options import CommonOptions, Verb, common_options

__all__ = ["PLATFORM_VERBS", "data_option", "platform", "reset", "status", "stop"]

_HERE: Final = "fnkit.cli.commands.platform"

PLATFORM_VERBS: Final[dict[str, tuple[str, str]]] = {
    "start": (f"{_HERE}_start:start", "Start the platform."),
    "stop": (f"{_HERE}:stop", "Stop the platform."),
    "status": (f"{_HERE}:status", "Show whether it runs, and where."),
    "reset": (f"{_HERE}:reset", "Stop it and remove everything deployed on it."),
    "logs": (f"{_HERE}_logs:logs", "Show what the platform's own processes wrote."),
    "env": (f"{_HERE}_env:env", "Print what other tools need to talk to it."),
    "trust": (f"{_HERE}_trust:trust", "Show the authority behind its https addresses, and how to trust it."),
    "key": (f"{_HERE}_key:key", "Manage further API keys."),
}


@click.group(cls=LazyGroup, verbs=PLATFORM_VERBS)
def platform() -> None:
    """Run the platform on this machine."""


def data_option(verb: Verb) -> Verb:
    """Give the verb ``home``: the platform's data folder, absolute."""
    option: Callable[[Verb], Verb] = click.option(
        "--data",
        "home",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_absolute,
        help="The platform's data folder. [env: FNKIT_HOME; default: fnkit in the user's data folder]",
    )
    return option(verb)


def _absolute(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path:
    del context, parameter
    from fnkit.platform.server.home import default_home

    return value.absolute() if value is not None else default_home()


@click.command()
@data_option
@common_options
def stop(common: CommonOptions, *, home: Path) -> None:
    """Stop the platform."""
    from fnkit.cli.views.platform import StoppedView
    from fnkit.platform.server import lifecycle

    lifecycle.check_machine()
    common.output.result(StoppedView(was_running=lifecycle.stop(home), data_dir=home))


@click.command()
@data_option
@common_options
def status(common: CommonOptions, *, home: Path) -> None:
    """Show whether it runs, and where."""
    from fnkit.cli.views.platform import PlatformView
    from fnkit.platform.server.lifecycle import check_machine, describe

    check_machine()
    common.output.result(PlatformView(describe(home)))


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
@common_options
def reset(common: CommonOptions, *, home: Path, yes: bool) -> int | None:
    """Stop it and remove everything deployed on it.

    Its keys and ports stay, so tools that were set up for it keep working.
    """
    from fnkit.cli.views.platform import StoppedView
    from fnkit.platform.server import lifecycle

    lifecycle.check_machine()
    if not common.output.confirm(f"Remove everything that is deployed in {home}?", yes=yes):
        common.output.message("Nothing was removed.")
        return 1
    was_running = lifecycle.running(home) is not None
    lifecycle.reset(home)
    common.output.result(StoppedView(was_running=was_running, data_dir=home, removed=True))
    return None
