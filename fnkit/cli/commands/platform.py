"""``fnkit platform``: start, stop, status, reset, logs, env, trust, api-key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from fnkit.cli.application import LazyGroup
from fnkit.cli.options import CommonOptions, Verb, common_options

__all__ = ["PLATFORM_VERBS", "data_option", "platform", "reset", "status", "stop"]

_HERE: Final = __name__

PLATFORM_VERBS: Final[dict[str, tuple[str, str]]] = {
    "start": (f"{_HERE}_start:start", "Start the platform."),
    "stop": (f"{_HERE}:stop", "Stop the platform."),
    "status": (f"{_HERE}:status", "Show the status of the platform."),
    "reset": (f"{_HERE}:reset", "Stop the platform and delete everything deployed on it."),
    "logs": (f"{_HERE}_logs:logs", "Show the logs of the platform's processes."),
    "env": (f"{_HERE}_env:env", "Print environment variables for other tools."),
    "trust": (f"{_HERE}_trust:trust", "Show or install the platform's CA certificate."),
    "api-key": (f"{_HERE}_key:api_key", "Manage additional API keys."),
}


@click.group(cls=LazyGroup, verbs=PLATFORM_VERBS)
def platform() -> None:
    """Manage the local platform."""


def data_option(verb: Verb) -> Verb:
    """Add ``--data-dir`` to a command, which receives its absolute path as ``data_dir``."""
    option: Callable[[Verb], Verb] = click.option(
        "--data-dir",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_absolute,
        help="Data directory of the platform. [env: FNKIT_HOME; default: fnkit in the user's data directory]",
    )
    return option(verb)


def _absolute(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path:
    del context, parameter
    from fnkit.platform.server.home import default_home

    return value.absolute() if value is not None else default_home()


@click.command()
@data_option
@common_options
def stop(common: CommonOptions, *, data_dir: Path) -> None:
    """Stop the platform."""
    from fnkit.cli.views.platform import StoppedView
    from fnkit.platform.server import lifecycle

    lifecycle.check_machine()
    common.output.result(StoppedView(was_running=lifecycle.stop(data_dir), data_dir=data_dir))


@click.command()
@data_option
@common_options
def status(common: CommonOptions, *, data_dir: Path) -> None:
    """Show the status of the platform."""
    from fnkit.cli.views.platform import PlatformView
    from fnkit.platform.server.lifecycle import check_machine, describe

    check_machine()
    common.output.result(PlatformView(describe(data_dir)))


@click.command()
@click.option("--yes", is_flag=True, help="Delete without asking for confirmation.")
@data_option
@common_options
def reset(common: CommonOptions, *, data_dir: Path, yes: bool) -> int | None:
    """Stop the platform and delete everything deployed on it.

    Keys and ports are kept, so that tools configured for the platform keep working.
    """
    from fnkit.cli.views.platform import StoppedView
    from fnkit.platform.server import lifecycle

    lifecycle.check_machine()
    if not common.output.confirm(f"Delete everything that is deployed in {data_dir}?", yes=yes):
        common.output.message("Nothing was deleted.")
        return 1
    was_running = lifecycle.running(data_dir) is not None
    lifecycle.reset(data_dir)
    common.output.result(StoppedView(was_running=was_running, data_dir=data_dir, removed=True))
    return None
