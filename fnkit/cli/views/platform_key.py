"""Views of ``fnkit platform api-key``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from fnkit.contract.platform import ApiKey, ApiKeyList

__all__ = ["CreatedApiKeyView", "DeletedApiKeyView", "ApiKeysView"]


def _key_to_json(key: ApiKey) -> dict[str, object]:
    return {
        "access_key": key.access_key,
        "read_only": key.read_only,
        "project_id": key.project_id,
        "description": key.description,
        "created_at": key.created_at,
    }


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
        console.print(f"access key  {self.key.access_key}")
        console.print(f"secret key  {self.key.secret_key}", style="bold", end="")
        console.print("   shown only once")
        console.print(f"It {_format_rights(self.key)}.")


@dataclass(frozen=True, slots=True)
class ApiKeysView:
    """All additional keys."""

    api_keys: ApiKeyList

    def to_json(self) -> dict[str, object]:
        """Return ``keys[…]``, without secrets."""
        return {"keys": [_key_to_json(key) for key in self.api_keys.keys]}

    def render(self, console: Console) -> None:
        """Print a line for each key."""
        for key in self.api_keys.keys:
            note = f"   {key.description}" if key.description else ""
            console.print(f"{key.access_key}  {key.created_at[:19]}Z  {_format_rights(key)}{note}")
        if not self.api_keys.keys:
            console.print("There are no additional API keys.")


@dataclass(frozen=True, slots=True)
class DeletedApiKeyView:
    """A key that was deleted."""

    key: ApiKey

    def to_json(self) -> dict[str, object]:
        """Return the deleted key."""
        return _key_to_json(self.key)

    def render(self, console: Console) -> None:
        """Print one line."""
        console.print(f"Deleted API key {self.key.access_key}.")
