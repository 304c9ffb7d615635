"""``fnkit platform``: start, stop, status, reset, logs, env, trust, api-key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from fnkit.cli.application import LazyGroup
from fnkit.cli.options import CommonOptions, CommandFunction, common_options

__all__ = ["PLATFORM_VERBS", "data_dir_option", "platform", "reset", "status", "stop"]

_MODULE: Final = __name__

PLATFORM_VERBS: Final[dict[str, tuple[str, str]]] = {
    "start": (f"{_MODULE}_start:start", "Start the platform."),
    "stop": (f"{_MODULE}:stop", "Stop the platform."),
    "status": (f"{_MODULE}:status", "Show the status of the platform."),
    "reset": (f"{_MODULE}:reset", "Stop the platform and delete everything deployed on it."),
    "logs": (f"{_MODULE}_logs:logs", "Show the logs of the platform's processes."),
    "env": (f"{_MODULE}_env:env", "Print environment variables for other tools."),
    "trust": (f"{_MODULE}_trust:trust", "Show or install the platform's CA certificate."),
    "api-key": (f"{_MODULE}_key:api_key", "Manage additional API keys."),
}


@click.group(cls=LazyGroup, verbs=PLATFORM_VERBS)
def platform() -> None:
    """Manage the local platform."""


def data_dir_option(command: CommandFunction) -> CommandFunction:
    """Add ``--data-dir`` to a command, which receives its absolute path as ``data_dir``."""
    option: Callable[[CommandFunction], CommandFunction] = click.option(
        "--data-dir",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_resolve_data_dir,
        help="Data directory of the platform. [env: FNKIT_HOME; default: fnkit in the user's data directory]",
    )
    return option(command)


def _resolve_data_dir(context: click.Context, parameter: click.Parameter, value: Path | None) -> Path:
    del context, parameter
    from fnkit.platform.server.home import default_data_dir

    return value.absolute() if value is not None else default_data_dir()


@click.command()
@data_dir_option
@common_options
def stop(common: CommonOptions, *, data_dir: Path) -> None:
    """Stop the platform."""
    from fnkit.cli.views.platform import StoppedView
    from fnkit.platform.server import lifecycle

    lifecycle.check_operating_system()
    common.output.result(StoppedView(was_running=lifecycle.stop_platform(data_dir), data_dir=data_dir))


@click.command()
@data_dir_option
@common_options
def status(common: CommonOptions, *, data_dir: Path) -> None:
    """Show the status of the platform."""
    from fnkit.cli.views.platform import PlatformView
    from fnkit.platform.server.lifecycle import check_operating_system, platform_status

    check_operating_system()
    common.output.result(PlatformView(platform_status(data_dir)))


@click.command()
@click.option("--yes", is_flag=True, help="Delete without asking for confirmation.")
@data_dir_option
@common_options
def reset(common: CommonOptions, *, data_dir: Path, yes: bool) -> int | None:
    """Stop the platform and delete everything deployed on it.

    Keys and ports are kept, so that tools configured for the platform keep working.
    """
    from fnkit.cli.views.platform import StoppedView
    from fnkit.platform.server import lifecycle

    lifecycle.check_operating_system()
    if not common.output.confirm(f"Delete everything that is deployed in {data_dir}?", yes=yes):
        common.output.message("Nothing was deleted.")
        return 1
    was_running = lifecycle.find_running_platform(data_dir) is not None
    lifecycle.reset_platform(data_dir)
    common.output.result(StoppedView(was_running=was_running, data_dir=data_dir, removed=True))
    return None
