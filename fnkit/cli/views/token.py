"""Views of ``fnkit token``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.cli.output import json_fields
from fnkit.deploy.access_tokens import AccessToken

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class NewTokenView:
    """A token that was created: the only place that has its text."""

    created: AccessToken

    def to_json(self) -> dict[str, object]:
        """Return ``id, token, function, namespace, description, status, expires_at``."""
        return {**_to_json(self.created), "token": self.created.token.token}

    def render(self, console: Console) -> None:
        """Print the token alone, for ``$(fnkit token create NAME)``."""
        console.print(self.created.token.token)


@dataclass(frozen=True, slots=True)
class TokensView:
    """The tokens of a project."""

    tokens: tuple[AccessToken, ...]

    def to_json(self) -> dict[str, object]:
        """Return ``tokens[{id, function, namespace, description, status, expires_at}]``."""
        return {"tokens": [_to_json(one) for one in self.tokens]}

    def render(self, console: Console) -> None:
        """Print a table of the tokens."""
        if not self.tokens:
            console.print("The project has no tokens.")
            return
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("ID", "OPENS", "EXPIRES", "STATUS", "DESCRIPTION"):
            table.add_column(heading)
        for one in self.tokens:
            token = one.token
            table.add_row(token.id, one.scope, token.expires_at or "never", token.status, token.description)
        console.print(table)


@dataclass(frozen=True, slots=True)
class DeletedTokenView:
    """A token that was deleted."""

    deleted: AccessToken

    def to_json(self) -> dict[str, object]:
        """Return ``id, function, namespace, description, status, expires_at``, with the status before."""
        return _to_json(self.deleted)

    def render(self, console: Console) -> None:
        """Print what the token does not open any more."""
        console.print(f"Deleted token {self.deleted.token.id}: it no longer opens {self.deleted.scope}.")


def _to_json(one: AccessToken) -> dict[str, object]:
    return {
        "id": one.token.id,
        **json_fields(one, "function", "namespace"),
        **json_fields(one.token, "description", "status", "expires_at"),
    }
