"""Views of ``fnkit platform``: its status, environment, CA certificate and API keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.platform.server.lifecycle import PlatformStatus

__all__ = ["PlatformView", "StoppedView", "status_to_json"]


def status_to_json(status: PlatformStatus) -> dict[str, object]:
    """Return the keys documented in ``docs/cli.md``, which are the same whether the platform runs or not."""
    return {
        "running": status.is_running,
        "healthy": status.is_healthy,
        "api_url": status.api_url,
        "gateway_url": status.gateway_url,
        "gateway_tls_url": status.gateway_tls_url,
        "ca_certificate": status.ca_certificate_file,
        "console_url": status.console_url,
        "nats_url": status.nats_url,
        "secret_key": status.secret_key,
        "access_key": status.access_key,
        "project_id": status.project_id,
        "organization_id": status.organization_id,
        "data_dir": str(status.data_dir),
        "pid": status.supervisor_pid,
        "processes": {
            "control": status.control_pid,
            "data_plane": status.data_plane_pid,
            "nats": status.nats_pid,
        },
        "isolation": status.isolation,
        "triggers": [
            {"id": one.id, "name": one.name, "state": one.state, "words": one.words} for one in status.triggers
        ],
    }


@dataclass(frozen=True, slots=True)
class PlatformView:
    """The status of the platform, for ``start`` and ``status``. The text does not contain the secret key.

    Args:
        description: The status.
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
            console.print(f"The platform in {found.data_dir} is not running.")
            console.print("Start it with: fnkit platform start")
            return
        state = "is running" if found.is_healthy else "is starting or unhealthy"
        console.print(f"The platform {state} (pid {found.supervisor_pid}).\n")
        rows = (
            ("API", found.api_url),
            ("Functions", found.gateway_url),
            ("TLS", found.gateway_tls_url),
            ("Console", found.console_url),
            ("NATS", _without_password(found.nats_url) or found.nats_unavailable_reason),
            ("Data", str(found.data_dir)),
            ("Project", found.project_id),
            ("Isolation", found.isolation),
            ("Processes", _format_processes(found)),
        )
        for name, value in rows:
            if value:
                console.print(f"  {name:<10} {value}")
        for trigger in found.triggers:
            if trigger.state != "listening" or "at most once" in trigger.words:
                console.print(f"  Trigger    {trigger.name}: {trigger.words}", markup=False)
        if self.started:
            console.print("\nNext:")
            console.print("  fnkit deploy --local", style="bold")
            console.print('  eval "$(fnkit platform env)"', style="bold", end="")
            console.print("   for scw, Terraform and the SDKs")
            console.print("Press Ctrl-C to stop it." if self.foreground else "Stop it with: fnkit platform stop")


def _without_password(url: str) -> str:
    """Return the URL of a broker without its credentials, which only `fnkit platform env` prints."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if url else ""


def _format_processes(status: PlatformStatus) -> str:
    own = f"control {status.control_pid or 'down'}, data plane {status.data_plane_pid or 'down'}"
    return f"{own}, nats {status.nats_pid or 'down'}" if status.nats_url else own


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
        """Return ``stopped, removed, data_dir``; ``stopped`` tells whether the platform was running."""
        return {"stopped": self.was_running, "removed": self.removed, "data_dir": str(self.data_dir)}

    def render(self, console: Console) -> None:
        """Print one line."""
        if self.removed:
            console.print(f"Deleted everything that was deployed in {self.data_dir}. Keys and ports are kept.")
        elif self.was_running:
            console.print("The platform has stopped.")
        else:
            console.print("The platform was not running.")
