"""The platform on this machine: whether it runs, where, and what to try next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.platform.server.lifecycle import Description

__all__ = ["PlatformView", "StoppedView", "description_to_json"]


def description_to_json(description: Description) -> dict[str, object]:
    """The keys of ``docs/cli.md``; the same ones whether it runs or not."""
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
    """``start`` and ``status``. As text it keeps the secret key to itself."""

    description: Description
    started: bool = False
    foreground: bool = False

    def to_json(self) -> dict[str, object]:
        """See ``description_to_json``."""
        return description_to_json(self.description)

    def render(self, console: Console) -> None:
        """Where it answers; after a start, what to try."""
        found = self.description
        if not found.running:
            console.print(f"The platform in {found.data_dir} is not running.")
            console.print("Start it with: fnkit platform start")
            return
        state = "is running" if found.healthy else "is starting, or in trouble"
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
            console.print("Ctrl-C stops it." if self.foreground else "`fnkit platform stop` stops it.")


def _without_password(url: str) -> str:
    """Return a broker's address; `fnkit platform env` is what shows credentials."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if url else ""


def _processes(found: Description) -> str:
    own = f"control {found.control or 'down'}, data plane {found.data_plane or 'down'}"
    return f"{own}, nats {found.nats or 'down'}" if found.nats_url else own


@dataclass(frozen=True, slots=True)
class StoppedView:
    """``stop`` and ``reset``."""

    was_running: bool
    data_dir: Path
    removed: bool = False

    def to_json(self) -> dict[str, object]:
        """``stopped`` says whether it was running; ``removed`` whether what it kept is gone."""
        return {"stopped": self.was_running, "removed": self.removed, "data_dir": str(self.data_dir)}

    def render(self, console: Console) -> None:
        """One line."""
        if self.removed:
            console.print(f"Everything that was deployed in {self.data_dir} is gone; keys and ports stay.")
        elif self.was_running:
            console.print("The platform has stopped.")
        else:
            console.print("The platform was not running.")
