"""``fnkit platform key``: create, list, delete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fnkit.cli.application import LazyGroup
from fnkit.cli.commands.platform import data_option
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import PlatformError

if TYPE_CHECKING:
    from fnkit.platform.server.lifecycle import RunningPlatform

__all__ = ["create", "delete", "every", "key"]

_HERE: Final = "fnkit.cli.commands.platform_key"

KEY_VERBS: Final[dict[str, tuple[str, str]]] = {
    "create": (f"{_HERE}:create", "Make a further key; its secret is shown once."),
    "list": (f"{_HERE}:every", "List the further keys, without their secrets."),
    "delete": (f"{_HERE}:delete", "Make a key worthless."),
}


@click.group(cls=LazyGroup, verbs=KEY_VERBS)
def key() -> None:
    """Manage further API keys."""


@click.command()
@click.option("--read-only", is_flag=True, help="The key may call private functions and read, and nothing else.")
@click.option("--project-id", metavar="ID", help="The one project that the key sees.  [default: all]")
@click.option("--description", metavar="TEXT", help="What the key is for.")
@data_option
@common_options
def create(
    common: CommonOptions, *, home: Path, read_only: bool, project_id: str | None, description: str | None
) -> None:
    """Make a further key; its secret is shown once."""
    from fnkit.cli.views.platform_key import CreatedKeyView
    from fnkit.contract.platform import CreateApiKey
    from fnkit.platform.server.key_requests import create_key

    wanted = CreateApiKey(read_only=read_only, project_id=project_id, description=description)
    common.output.result(CreatedKeyView(create_key(_running(home), wanted)))


@click.command()
@data_option
@common_options
def every(common: CommonOptions, *, home: Path) -> None:
    """List the further keys, without their secrets."""
    from fnkit.cli.views.platform_key import KeysView
    from fnkit.platform.server.key_requests import list_keys

    common.output.result(KeysView(list_keys(_running(home))))


@click.command()
@click.argument("access_key", metavar="ACCESS_KEY")
@data_option
@common_options
def delete(common: CommonOptions, *, home: Path, access_key: str) -> None:
    """Make a key worthless."""
    from fnkit.cli.views.platform_key import DeletedKeyView
    from fnkit.platform.server.key_requests import delete_key

    common.output.result(DeletedKeyView(delete_key(_running(home), access_key)))


def _running(home: Path) -> RunningPlatform:
    from fnkit.platform.server.lifecycle import check_machine, running

    check_machine()
    found = running(home)
    if found is None:
        raise PlatformError(
            f"The platform in {home} is not running.",
            code="platform-not-running",
            hint="Start it with `fnkit platform start --detach`.",
        )
    return found
