"""Views of ``fnkit domain``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from fnkit.cli.layout import (
    NAME_STYLE,
    URL_STYLE,
    Column,
    Row,
    joined,
    print_table,
    print_wrapped,
    safe_text,
    state_cell,
)
from fnkit.cli.output import json_fields
from fnkit.deploy.custom_domains import FunctionDomain

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS: Final = (Column("HOSTNAME", NAME_STYLE), Column("FUNCTION"), Column("STATUS"), Column("CNAME OF"))


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
        domain = self.domain.domain
        hostname = safe_text(domain.hostname, NAME_STYLE)
        name = safe_text(self.domain.function.name, NAME_STYLE)
        if self.action == "removed":
            print_wrapped(console, joined("Removed ", hostname, " from ", name, "."))
            return
        print_wrapped(console, joined("Added ", hostname, " to ", name, ": ", state_cell(domain.status), "."))
        if self.gateway_url:
            call = f"curl -H 'Host: {domain.hostname}' {self.gateway_url}/"
            print_wrapped(console, safe_text(call, NAME_STYLE), indent=2, hanging=2)
        elif domain.url:
            print_wrapped(console, safe_text(domain.url, URL_STYLE), indent=2)


@dataclass(frozen=True, slots=True)
class DomainsView:
    """The custom hostnames of a project."""

    domains: tuple[FunctionDomain, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``domains[{id, hostname, function, status, url, cname, error_message}]``."""
        return {"domains": [_to_json(one) for one in self.domains]}

    def render(self, console: Console) -> None:
        """Print a table of the hostnames, each with its error below it."""
        if not self.domains:
            print_wrapped(console, "The project has no custom domains.")
        print_table(console, _COLUMNS, [_row(one) for one in self.domains])


def _row(one: FunctionDomain) -> Row:
    error = one.domain.error_message
    cells = (one.domain.hostname, one.function.name, state_cell(one.domain.status), one.cname)
    return Row(cells, (safe_text(error, "red"),) if error else ())


def _to_json(one: FunctionDomain) -> dict[str, object]:
    return {
        **json_fields(one.domain, "id", "hostname"),
        "function": one.function.name,
        **json_fields(one.domain, "status", "url"),
        "cname": one.cname,
        "error_message": one.domain.error_message,
    }
