"""Views of ``fnkit token``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from fnkit.cli.layout import NAME_STYLE, Column, Row, joined, print_table, print_wrapped, safe_text, state_cell
from fnkit.cli.output import json_fields
from fnkit.cli.times import format_time, parse_time, short_id
from fnkit.deploy.access_tokens import AccessToken

if TYPE_CHECKING:
    from rich.console import Console

_COLUMNS: Final = (
    Column("ID", NAME_STYLE),
    Column("OPENS"),
    Column("STATUS"),
    Column("EXPIRES"),
    Column("DESCRIPTION", "dim", wraps=True),
)


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
    """The tokens of a project, and the time by which they expire."""

    tokens: tuple[AccessToken, ...]
    now: datetime

    def to_json(self) -> dict[str, object]:
        """Return ``tokens[{id, function, namespace, description, status, expires_at}]``."""
        return {"tokens": [_to_json(one) for one in self.tokens]}

    def render(self, console: Console) -> None:
        """Print a table of the tokens."""
        if not self.tokens:
            print_wrapped(console, "The project has no tokens.")
        print_table(console, _COLUMNS, [self._row(console, one) for one in self.tokens])

    def _row(self, console: Console, one: AccessToken) -> Row:
        token = one.token
        expires = format_time(console, parse_time(token.expires_at), self.now) if token.expires_at else "never"
        cells = (short_id(console, token.id), one.scope, state_cell(token.status), expires, token.description or "")
        return Row(cells)


@dataclass(frozen=True, slots=True)
class DeletedTokenView:
    """A token that was deleted."""

    deleted: AccessToken

    def to_json(self) -> dict[str, object]:
        """Return ``id, function, namespace, description, status, expires_at``, with the status before."""
        return _to_json(self.deleted)

    def render(self, console: Console) -> None:
        """Print what the token does not open any more."""
        identifier = safe_text(short_id(console, self.deleted.token.id), NAME_STYLE)
        effect = f": it no longer opens {self.deleted.scope}."
        print_wrapped(console, joined("Deleted token ", identifier, effect))


def _to_json(one: AccessToken) -> dict[str, object]:
    return {
        "id": one.token.id,
        **json_fields(one, "function", "namespace"),
        **json_fields(one.token, "description", "status", "expires_at"),
    }
