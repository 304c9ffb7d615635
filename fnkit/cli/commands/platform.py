"""``fnkit platform``: start, stop, status, reset, backup, restore, logs, env, trust, manifests, api-key."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fnkit.cli.app import LazyGroup
from fnkit.cli.help import command, option_group
from fnkit.cli.options import CommonOptions, OptionDecorator, output_options
from fnkit.cli.output import Output
from fnkit.errors import PlatformError, UsageError

if TYPE_CHECKING:
    from fnkit.platform.supervisor.launcher import RunningPlatform

_MODULE: Final = __name__
PLATFORM_VERBS: Final[dict[str, tuple[str, str]]] = {
    "start": (f"{_MODULE}_start:start", "Start the platform."),
    "stop": (f"{_MODULE}:stop", "Stop the platform."),
    "status": (f"{_MODULE}:status", "Show the status of the platform."),
    "reset": (f"{_MODULE}:reset", "Stop the platform and delete everything deployed on it."),
    "backup": (f"{_MODULE}:backup", "Write a backup of the platform to a file."),
    "restore": (f"{_MODULE}:restore", "Replace the platform's data with a backup."),
    "logs": (f"{_MODULE}:logs", "Show the logs of the platform's processes, and the requests to its API."),
    "env": (f"{_MODULE}:env", "Print environment variables for other tools."),
    "trust": (f"{_MODULE}:trust", "Show or install the platform's CA certificate."),
    "manifests": (f"{_MODULE}_manifests:manifests", "Print what installs the platform in a Kubernetes cluster."),
    "api-key": (f"{_MODULE}:api_key", "Manage additional API keys."),
}

API_KEY_VERBS: Final[dict[str, tuple[str, str]]] = {
    "create": (f"{__name__}:create_api_key", "Create an API key."),
    "list": (f"{__name__}:list_api_keys", "List the API keys."),
    "delete": (f"{__name__}:delete_api_key", "Delete an API key."),
}

_LOGS = ("supervisor", "control", "data-plane", "nats", "sqs", "api")
_POLL_SECONDS = 0.2


@click.group(cls=LazyGroup, verbs=PLATFORM_VERBS)
def platform() -> None:
    """Manage the local platform."""


def _resolve_data_dir(_context: click.Context, _option: click.Parameter, value: Path | None) -> Path:
    from fnkit.platform.supervisor.launcher import default_data_dir

    return value.absolute() if value is not None else default_data_dir()


def data_dir_option_in(heading: str) -> OptionDecorator:
    """Return what adds ``--data-dir`` to a command, under a heading of its help."""
    return option_group(heading)(
        "--data-dir",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        callback=_resolve_data_dir,
        help="Data directory of the platform. [env: FNKIT_HOME; default: fnkit in the user's data directory]",
    )


data_dir_option: OptionDecorator = data_dir_option_in("")
"""Adds ``--data-dir`` to a command, which receives its absolute path as ``data_dir``."""


@command()
@data_dir_option
@output_options
def stop(common: CommonOptions, *, data_dir: Path) -> None:
    """Stop the platform."""
    from fnkit.cli.views.platform import StoppedView
    from fnkit.platform.supervisor import launcher

    launcher.check_operating_system()
    common.output.result(StoppedView(was_running=launcher.stop_platform(data_dir), data_dir=data_dir))


@command()
@data_dir_option
@output_options
def status(common: CommonOptions, *, data_dir: Path) -> None:
    """Show the status of the platform."""
    from fnkit.cli.views.platform import PlatformView
    from fnkit.platform.supervisor.launcher import check_operating_system, platform_status

    check_operating_system()
    common.output.result(PlatformView(platform_status(data_dir)))


@command()
@click.option("--yes", is_flag=True, help="Delete without asking for confirmation.")
@data_dir_option
@output_options
def reset(common: CommonOptions, *, data_dir: Path, yes: bool) -> int | None:
    """Stop the platform and delete everything deployed on it.

    Keys and ports are kept, so that tools configured for the platform keep working.
    """
    from fnkit.cli.views.platform import StoppedView
    from fnkit.platform.supervisor import launcher

    launcher.check_operating_system()
    if not common.output.confirm(f"Delete everything that is deployed in {data_dir}?", yes=yes):
        common.output.message("Nothing was deleted.")
        return 1
    was_running = launcher.find_running_platform(data_dir) is not None
    launcher.reset_platform(data_dir)
    common.output.result(StoppedView(was_running=was_running, data_dir=data_dir, removed=True))
    return None


@command()
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@data_dir_option
@output_options
def backup(common: CommonOptions, *, data_dir: Path, file: Path) -> None:
    """Write a backup of the platform to a file.

    The platform may be running. The file contains keys and secrets, so only its owner can read it.
    """
    from fnkit.cli.views.platform_backup import BackupView
    from fnkit.platform.supervisor.launcher import backup_platform, check_operating_system

    check_operating_system()
    common.output.result(BackupView(file, backup_platform(file, data_dir)))


@command()
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Replace existing data without asking for confirmation.")
@data_dir_option
@output_options
def restore(common: CommonOptions, *, data_dir: Path, file: Path, yes: bool) -> int | None:
    """Replace the platform's data with a backup.

    The platform must be stopped. The backup is checked completely before anything is replaced.
    """
    from fnkit.cli.views.platform_backup import RestoredView
    from fnkit.platform.supervisor.launcher import check_operating_system, check_stopped, has_data, restore_platform

    check_operating_system()
    if has_data(data_dir):
        check_stopped(data_dir)
        if not common.output.confirm(f"Replace everything in {data_dir} with the backup {file}?", yes=yes):
            common.output.message("Nothing was replaced.")
            return 1
    common.output.result(RestoredView(data_dir, restore_platform(file, data_dir)))
    return None


@command()
@click.option(
    "--format",
    "output_format",
    type=click.Choice(["shell", "dotenv", "github", "json", "terraform"]),
    default="shell",
    show_default=True,
    help="Format for eval, a .env file, $GITHUB_ENV, scripts, or a Terraform provider.",
)
@data_dir_option
@output_options
def env(common: CommonOptions, *, data_dir: Path, output_format: str) -> None:
    """Print environment variables for other tools.

    The output contains the platform's secret key, which no other command prints as text.
    """
    from fnkit.cli.views.platform_env import PlatformEnvView
    from fnkit.platform.supervisor.launcher import check_operating_system, platform_status

    check_operating_system()
    description = platform_status(data_dir)
    if not description.is_running:
        raise _not_running_error(data_dir)
    # Node reads a single file from this variable; replacing the user's own would break other connections.
    configured = os.environ.get("NODE_EXTRA_CA_CERTS", "") not in ("", description.ca_certificate_file)
    common.output.result(PlatformEnvView(description, output_format, node_ca_configured=configured))


@click.group(cls=LazyGroup, verbs=API_KEY_VERBS)
def api_key() -> None:
    """Manage additional API keys."""


@command()
@click.option("--read-only", is_flag=True, help="Allow only reads and calls of private functions.")
@click.option("--project-id", metavar="ID", help="Restrict the key to one project.  [default: all projects]")
@click.option("--description", metavar="TEXT", help="Description of the key.")
@data_dir_option
@output_options
def create_api_key(
    common: CommonOptions, *, data_dir: Path, read_only: bool, project_id: str | None, description: str | None
) -> None:
    """Create an API key.

    The secret is shown only once.
    """
    from fnkit.cli.views.platform_keys import CreatedApiKeyView
    from fnkit.contract.platform import CreateApiKey
    from fnkit.platform.supervisor.launcher import create_api_key

    wanted = CreateApiKey(read_only=read_only, project_id=project_id, description=description)
    common.output.result(CreatedApiKeyView(create_api_key(_require_running(data_dir), wanted)))


@command()
@data_dir_option
@output_options
def list_api_keys(common: CommonOptions, *, data_dir: Path) -> None:
    """List the API keys.

    Secrets are not shown.
    """
    from datetime import UTC, datetime

    from fnkit.cli.views.platform_keys import ApiKeysView
    from fnkit.platform.supervisor.launcher import list_api_keys

    found = list_api_keys(_require_running(data_dir))
    common.output.result(ApiKeysView(found, datetime.now(UTC)))


@command()
@click.argument("access_key", metavar="ACCESS_KEY")
@data_dir_option
@output_options
def delete_api_key(common: CommonOptions, *, data_dir: Path, access_key: str) -> None:
    """Delete an API key."""
    from fnkit.cli.views.platform_keys import DeletedApiKeyView
    from fnkit.platform.supervisor.launcher import delete_api_key

    common.output.result(DeletedApiKeyView(delete_api_key(_require_running(data_dir), access_key)))


def _require_running(data_dir: Path) -> RunningPlatform:
    from fnkit.platform.supervisor.launcher import check_operating_system, find_running_platform

    check_operating_system()
    found = find_running_platform(data_dir)
    if found is None:
        raise _not_running_error(data_dir)
    return found


def _not_running_error(data_dir: Path) -> PlatformError:
    return PlatformError(
        f"The platform in {data_dir} is not running.",
        code="platform-not-running",
        hint="Start it with `fnkit platform start --detach`.",
    )


@command()
@click.option(
    "--process",
    type=click.Choice(_LOGS),
    multiple=True,
    help="Show only this process, or the requests to the API (api); may be repeated.  [default: all]",
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
@output_options
def logs(common: CommonOptions, *, data_dir: Path, process: tuple[str, ...], lines: int, follow: bool) -> None:
    """Show the logs of the platform's processes, and the requests to its API."""
    from fnkit.platform.supervisor.launcher import LogFileFollower, check_data_dir_readable, tail_log

    check_data_dir_readable(data_dir)
    chosen = process or _LOGS
    # Readers start at the current end of the files, so opening them before the tail is printed loses no line.
    readers = {name: LogFileFollower(data_dir, name) for name in chosen} if follow else {}
    for name in chosen:
        for line in tail_log(data_dir, name, lines):
            _print_line(common.output, name, line)
    while follow:
        for name, reader in readers.items():
            for line in reader.read_new_lines():
                _print_line(common.output, name, line)
        time.sleep(_POLL_SECONDS)


def _print_line(output: Output, process: str, line: str) -> None:
    from fnkit.platform.supervisor.launcher import API_LOG, parse_logged_request

    text: str = line
    fields: dict[str, object] = {"process": process, "line": line}
    if process == API_LOG and (request := parse_logged_request(line)) is not None:
        text, fields = str(request), {"process": process, **request.to_json()}
    output.item(f"{process:<10} | {text}", fields)


@command()
@click.option("--install", is_flag=True, help="Add the certificate to the system's trust store; requires root.")
@click.option("--remove", is_flag=True, help="Remove the certificate from the trust store; requires root.")
@click.option("--print-certificate", is_flag=True, help="Print only the certificate.")
@data_dir_option
@output_options
def trust(common: CommonOptions, *, data_dir: Path, install: bool, remove: bool, print_certificate: bool) -> None:
    """Show or install the platform's CA certificate.

    The CA signs the certificates of the HTTPS addresses. It is created on this machine for this platform alone, and
    its private key never leaves the data directory.
    """
    from fnkit.cli.views.platform_trust import TrustView
    from fnkit.platform.supervisor.launcher import check_operating_system, find_trust_store, read_ca_certificate

    check_operating_system()
    if install + remove + print_certificate > 1:
        raise UsageError("--install, --remove and --print-certificate exclude each other.")
    authority = read_ca_certificate(data_dir)
    store = find_trust_store(authority)
    if install or remove:
        if store is None:
            raise PlatformError(
                "No supported trust store was found on this system.",
                code="no-trust-store",
                hint=f"Add {authority.file} to it by hand, or configure programs as `fnkit platform trust` shows.",
            )
        store.change(install=install)
    done = "installed" if install else "removed" if remove else ""
    common.output.result(TrustView(authority, store, completed_action=done, certificate_only=print_certificate))
