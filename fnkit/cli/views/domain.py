"""Views of ``fnkit domain``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fnkit.cli.output import json_fields
from fnkit.deploy.custom_domains import FunctionDomain

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"ready": "green", "error": "red"}


@dataclass(frozen=True, slots=True)
class DomainView:
    """A hostname that was added or removed.

    Args:
        domain: The hostname and its function.
        action: What was done.
        gateway_url: On a local platform, where the hostname is served.
    """

    domain: FunctionDomain
    action: Literal["added", "removed"]
    gateway_url: str = ""

    def to_json(self) -> dict[str, object]:
        """Return ``id, hostname, function, status, url, cname, error_message``."""
        return _to_json(self.domain)

    def render(self, console: Console) -> None:
        """Print what was done, and how to call the function by this name."""
        hostname, name = self.domain.domain.hostname, self.domain.function.name
        if self.action == "removed":
            console.print(f"Removed {hostname} from {name}.")
            return
        console.print(f"Added {hostname} to {name}: {self.domain.domain.status}.")
        if self.gateway_url:
            console.print(f"  curl -H 'Host: {hostname}' {self.gateway_url}/", style="bold")
        elif self.domain.domain.url:
            console.print(f"  {self.domain.domain.url}", style="bold")


@dataclass(frozen=True, slots=True)
class DomainsView:
    """The custom hostnames of a project."""

    domains: tuple[FunctionDomain, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``domains[{id, hostname, function, status, url, cname, error_message}]``."""
        return {"domains": [_to_json(one) for one in self.domains]}

    def render(self, console: Console) -> None:
        """Print a table of the hostnames, and the errors below it."""
        if not self.domains:
            console.print("The project has no custom domains.")
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("HOSTNAME", "FUNCTION", "STATUS", "CNAME OF"):
            table.add_column(heading)
        for one in self.domains:
            status = Text(one.domain.status, _STYLES.get(one.domain.status, "yellow"))
            table.add_row(one.domain.hostname, one.function.name, status, one.cname)
        console.print(table)
        for one in self.domains:
            if one.domain.error_message:
                console.print(f"{one.domain.hostname}: {one.domain.error_message}", style="red")


def _to_json(one: FunctionDomain) -> dict[str, object]:
    return {
        **json_fields(one.domain, "id", "hostname"),
        "function": one.function.name,
        **json_fields(one.domain, "status", "url"),
        "cname": one.cname,
        "error_message": one.domain.error_message,
    }
