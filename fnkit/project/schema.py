"""A JSON Schema of the settings, for editors that complete and check TOML."""

from __future__ import annotations

from typing import Final

import msgspec

from fnkit.project.settings import SettingsTable

__all__ = ["settings_schema"]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def settings_schema() -> dict[str, object]:
    """The schema of ``fnkit.toml``, which is also that of ``[tool.fnkit]``, made from the settings' own types."""
    schema = msgspec.json.schema(SettingsTable, schema_hook=_anything)
    # Through JSON once, so that defaults are lists and tables, as a reader of the written schema sees them.
    plain = msgspec.json.decode(msgspec.json.encode(schema), type=dict[str, object])
    return {"$schema": _DIALECT, "title": "fnkit settings", **plain}


def _anything(kind: type) -> dict[str, object]:
    """``object`` is any JSON value, as a cron's arguments hold."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)
