"""Views of ``fnkit platform``: its status, environment, CA certificate and API keys."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.platform.server.lifecycle import Description

__all__ = ["PlatformView", "StoppedView", "description_to_json"]


def description_to_json(description: Description) -> dict[str, object]:
    """Return the keys documented in ``docs/cli.md``, which are the same whether the platform runs or not."""
    return {
        "running": description.running,
        "healthy": description.healthy,
        "api_url": description.api_url,
        "gateway_url": description.gateway_url,
        "gateway_tls_url": description.gateway_tls_url,
        "ca_certificate": description.ca_certificate,
        "console_url": description.console_url,
        "nats_url": description.nats_url,
        "secret_key": description.secret_key,
        "access_key": description.access_key,
        "project_id": description.project_id,
        "organization_id": description.organization_id,
        "data_dir": str(description.data_dir),
        "pid": description.pid,
        "processes": {
            "control": description.control,
            "data_plane": description.data_plane,
            "nats": description.nats,
        },
        "isolation": description.isolation,
        "triggers": [
            {"id": one.id, "name": one.name, "state": one.state, "words": one.words} for one in description.triggers
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

    description: Description
    started: bool = False
    foreground: bool = False

    def to_json(self) -> dict[str, object]:
        """Return the keys documented in ``docs/cli.md``."""
        return description_to_json(self.description)

    def render(self, console: Console) -> None:
        """Print addresses and processes, and after a start the next commands."""
        found = self.description
        if not found.running:
            console.print(f"The platform in {found.data_dir} is not running.")
            console.print("Start it with: fnkit platform start")
            return
        state = "is running" if found.healthy else "is starting or unhealthy"
        console.print(f"The platform {state} (pid {found.pid}).\n")
        rows = (
            ("API", found.api_url),
            ("Functions", found.gateway_url),
            ("TLS", found.gateway_tls_url),
            ("Console", found.console_url),
            ("NATS", _without_password(found.nats_url) or found.why_no_nats),
            ("Data", str(found.data_dir)),
            ("Project", found.project_id),
            ("Isolation", found.isolation),
            ("Processes", _processes(found)),
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


def _processes(found: Description) -> str:
    own = f"control {found.control or 'down'}, data plane {found.data_plane or 'down'}"
    return f"{own}, nats {found.nats or 'down'}" if found.nats_url else own


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
