"""Views of ``fnkit platform api-key``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from fnkit.cli.layout import NAME_STYLE, Column, Row, joined, print_fields, print_table, print_wrapped, safe_text
from fnkit.cli.output import json_fields
from fnkit.cli.times import format_time, parse_time

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.contract.platform import ApiKey, ApiKeyList

_COLUMNS: Final = (
    Column("ACCESS KEY", NAME_STYLE),
    Column("CREATED"),
    Column("RIGHTS"),
    Column("DESCRIPTION", "dim", wraps=True),
)


def _key_to_json(key: ApiKey) -> dict[str, object]:
    return json_fields(key, "access_key", "read_only", "project_id", "description", "created_at")


def _format_rights(key: ApiKey) -> str:
    verb = "reads" if key.read_only else "reads and writes"
    return f"{verb} {f'project {key.project_id}' if key.project_id else 'everything'}"


@dataclass(frozen=True, slots=True)
class CreatedApiKeyView:
    """A new key with its secret, which is shown only this once."""

    key: ApiKey

    def to_json(self) -> dict[str, object]:
        """Return the key with its secret."""
        return {**_key_to_json(self.key), "secret_key": self.key.secret_key}

    def render(self, console: Console) -> None:
        """Print both halves of the key and its rights."""
        print_fields(
            console,
            (
                ("Access key", safe_text(self.key.access_key, NAME_STYLE)),
                ("Secret key", safe_text(self.key.secret_key or "", NAME_STYLE)),
                ("Rights", _format_rights(self.key)),
            ),
        )
        print_wrapped(console, safe_text("The secret key is shown only now.", "dim"))


@dataclass(frozen=True, slots=True)
class ApiKeysView:
    """All additional keys, and the time at which they are shown."""

    api_keys: ApiKeyList
    now: datetime

    def to_json(self) -> dict[str, object]:
        """Return ``keys[…]``, without secrets."""
        return {"keys": [_key_to_json(key) for key in self.api_keys.keys]}

    def render(self, console: Console) -> None:
        """Print a table of the keys."""
        if not self.api_keys.keys:
            print_wrapped(console, "There are no additional API keys.")
        print_table(console, _COLUMNS, [self._row(console, key) for key in self.api_keys.keys])

    def _row(self, console: Console, key: ApiKey) -> Row:
        created = format_time(console, parse_time(key.created_at), self.now)
        return Row((key.access_key, created, _format_rights(key), key.description or ""))


@dataclass(frozen=True, slots=True)
class DeletedApiKeyView:
    """A key that was deleted."""

    key: ApiKey

    def to_json(self) -> dict[str, object]:
        """Return the deleted key."""
        return _key_to_json(self.key)

    def render(self, console: Console) -> None:
        """Print one line."""
        print_wrapped(console, joined("Deleted API key ", safe_text(self.key.access_key, NAME_STYLE), "."))
