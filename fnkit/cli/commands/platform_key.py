"""``fnkit platform api-key``: create, list, delete."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fnkit.cli.application import LazyGroup
from fnkit.cli.commands.platform import data_dir_option
from fnkit.cli.options import CommonOptions, common_options
from fnkit.errors import PlatformError

if TYPE_CHECKING:
    from fnkit.platform.server.lifecycle import RunningPlatform

__all__ = ["API_KEY_VERBS", "api_key", "create_api_key", "delete_api_key", "list_api_keys"]

API_KEY_VERBS: Final[dict[str, tuple[str, str]]] = {
    "create": (f"{__name__}:create_api_key", "Create an API key."),
    "list": (f"{__name__}:list_api_keys", "List the API keys."),
    "delete": (f"{__name__}:delete_api_key", "Delete an API key."),
}


@click.group(cls=LazyGroup, verbs=API_KEY_VERBS)
def api_key() -> None:
    """Manage additional API keys."""


@click.command()
@click.option("--read-only", is_flag=True, help="Allow only reads and calls of private functions.")
@click.option("--project-id", metavar="ID", help="Restrict the key to one project.  [default: all projects]")
@click.option("--description", metavar="TEXT", help="Description of the key.")
@data_dir_option
@common_options
def create_api_key(
    common: CommonOptions, *, data_dir: Path, read_only: bool, project_id: str | None, description: str | None
) -> None:
    """Create an API key.

    The secret is shown only once.
    """
    from fnkit.cli.views.platform_key import CreatedApiKeyView
    from fnkit.contract.platform import CreateApiKey
    from fnkit.platform.server.key_requests import create_api_key

    wanted = CreateApiKey(read_only=read_only, project_id=project_id, description=description)
    common.output.result(CreatedApiKeyView(create_api_key(_require_running(data_dir), wanted)))


@click.command()
@data_dir_option
@common_options
def list_api_keys(common: CommonOptions, *, data_dir: Path) -> None:
    """List the API keys.

    Secrets are not shown.
    """
    from fnkit.cli.views.platform_key import ApiKeysView
    from fnkit.platform.server.key_requests import list_api_keys

    common.output.result(ApiKeysView(list_api_keys(_require_running(data_dir))))


@click.command()
@click.argument("access_key", metavar="ACCESS_KEY")
@data_dir_option
@common_options
def delete_api_key(common: CommonOptions, *, data_dir: Path, access_key: str) -> None:
    """Delete an API key."""
    from fnkit.cli.views.platform_key import DeletedApiKeyView
    from fnkit.platform.server.key_requests import delete_api_key

    common.output.result(DeletedApiKeyView(delete_api_key(_require_running(data_dir), access_key)))


def _require_running(data_dir: Path) -> RunningPlatform:
    from fnkit.platform.server.lifecycle import check_operating_system, find_running_platform

    check_operating_system()
    found = find_running_platform(data_dir)
    if found is None:
        raise PlatformError(
            f"The platform in {data_dir} is not running.",
            code="platform-not-running",
            hint="Start it with `fnkit platform start --detach`.",
        )
    return found
