"""Views of the status of the platform, and of its end."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fnkit.cli.layout import (
    NAME_STYLE,
    URL_STYLE,
    joined,
    print_commands,
    print_fields,
    print_wrapped,
    safe_text,
    state_cell,
)
from fnkit.cli.output import json_fields
from fnkit.contract.text import natural_key

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from fnkit.platform.supervisor.launcher import PlatformStatus


def status_to_json(status: PlatformStatus) -> dict[str, object]:
    """Return the keys documented in ``docs/cli.md``, which are the same whether the platform runs or not."""
    return {
        "running": status.is_running,
        "healthy": status.is_healthy,
        **json_fields(status, "api_url", "gateway_url", "gateway_tls_url"),
        "ca_certificate": status.ca_certificate_file,
        **json_fields(status, "console_url", "nats_url", "sqs_endpoint", "sqs_access_key", "sqs_secret_key"),
        **json_fields(status, "secret_key", "access_key", "project_id", "organization_id"),
        "data_dir": str(status.data_dir),
        "pid": status.supervisor_pid,
        "processes": {
            "control": status.control_pid,
            "data_plane": status.data_plane_pid,
            "nats": status.nats_pid,
            "sqs": status.sqs_pid,
        },
        "isolation": status.isolation,
        "triggers": [json_fields(one, "id", "name", "state", "words") for one in status.triggers],
    }


@dataclass(frozen=True, slots=True)
class PlatformView:
    """The status of the platform, for ``start`` and ``status``. The text does not contain the secret key.

    Args:
        status: The status.
        started: Whether the platform was just started, so that the text suggests the next commands.
        foreground: Whether it runs in this process.
    """

    status: PlatformStatus
    started: bool = False
    foreground: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the keys documented in ``docs/cli.md``."""
        return status_to_json(self.status)

    def render(self, console: Console) -> None:
        """Print addresses and processes, and after a start the next commands."""
        found = self.status
        if not found.is_running:
            directory = safe_text(str(found.data_dir), NAME_STYLE)
            print_wrapped(console, joined("The platform in ", directory, " is not running."))
            print_commands(console, "To start it:", (("fnkit platform start --detach", ""),))
            return
        state = safe_text("running", "green") if found.is_healthy else safe_text("starting or unhealthy", "yellow")
        print_wrapped(console, joined("The platform is ", state, f" (pid {found.supervisor_pid})."))
        console.print()
        print_fields(console, [*_fields(found), *_trigger_fields(found)], indent=2)
        if self.started:
            stop = ("Ctrl-C" if self.foreground else "fnkit platform stop", "stops it")
            env = ('eval "$(fnkit platform env)"', "sets the variables of scw, Terraform and the SDKs")
            console.print()
            print_commands(console, "Next:", (("fnkit deploy --local", "deploys a project to it"), env, stop))


def _fields(status: PlatformStatus) -> tuple[tuple[str, str | Text], ...]:
    return (
        ("API", safe_text(status.api_url, URL_STYLE)),
        ("Functions", safe_text(status.gateway_url, URL_STYLE)),
        ("Functions (HTTPS)", safe_text(status.gateway_tls_url, URL_STYLE)),
        ("Console", safe_text(status.console_url, URL_STYLE)),
        ("NATS", _address(_without_password(status.nats_url), status.nats_unavailable_reason)),
        ("SQS", _address(status.sqs_endpoint, status.sqs_unavailable_reason)),
        ("Data", str(status.data_dir)),
        ("Project", status.project_id),
        ("Isolation", status.isolation),
        ("Processes", _processes(status)),
    )


def _address(url: str, reason: str) -> Text:
    """Return the address of a broker, or why there is none."""
    return safe_text(url, URL_STYLE) if url else safe_text(reason, "yellow")


def _trigger_fields(status: PlatformStatus) -> list[tuple[str, Text]]:
    """Return the triggers that receive no messages, or may lose some."""
    shown = [one for one in status.triggers if one.state != "listening" or "at most once" in one.words]
    return [
        (
            "Trigger",
            joined(safe_text(one.name, NAME_STYLE), " ", state_cell(one.state), f": {one.words}"),
        )
        for one in sorted(shown, key=lambda one: natural_key(one.name))
    ]


def _without_password(url: str) -> str:
    """Return the URL of a broker without its credentials, which only `fnkit platform env` prints."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if url else ""


def _processes(status: PlatformStatus) -> Text:
    """Return the names of the processes, those in red that do not run."""
    pids = [("control", status.control_pid), ("data plane", status.data_plane_pid)]
    pids += [("nats", status.nats_pid)] if status.nats_url else []
    pids += [("sqs", status.sqs_pid)] if status.sqs_pid else []
    return safe_text(", ").join(
        safe_text(name) if pid else safe_text(f"{name} is down", "red") for name, pid in pids
    )


@dataclass(frozen=True, slots=True)
class StoppedView:
    """The result of ``stop`` and ``reset``.

    Args:
        was_running: Whether the platform was running.
        data_dir: Its data directory.
        removed: Whether the resources in it were deleted.
    """

    was_running: bool
    data_dir: Path
    removed: bool = False

    def to_json(self) -> dict[str, object]:
        """Return ``stopped, removed, data_dir``; ``stopped``: whether the platform was running."""
        return {"stopped": self.was_running, "removed": self.removed, "data_dir": str(self.data_dir)}

    def render(self, console: Console) -> None:
        """Print one line."""
        if self.removed:
            directory = safe_text(str(self.data_dir), NAME_STYLE)
            kept = ". Keys and ports are kept."
            print_wrapped(console, joined("Deleted everything that was deployed in ", directory, kept))
        elif self.was_running:
            print_wrapped(console, "The platform has stopped.")
        else:
            print_wrapped(console, "The platform was not running.")
