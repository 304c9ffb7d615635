"""Generates the JSON Schema of the settings."""

from __future__ import annotations

from typing import Final

import msgspec

from fnkit.project.settings import SettingsTable

__all__ = ["settings_schema"]

_SCHEMA_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def settings_schema() -> dict[str, object]:
    """Return the JSON Schema of ``fnkit.toml`` and ``[tool.fnkit]``, generated from the settings types."""
    schema = msgspec.json.schema(SettingsTable, schema_hook=_schema_of_object)
    # Encoding converts the defaults, which are tuples and structs, to JSON arrays and objects.
    plain = msgspec.json.decode(msgspec.json.encode(schema), type=dict[str, object])
    return {"$schema": _SCHEMA_DIALECT, "title": "fnkit settings", **plain}


def _schema_of_object(kind: type) -> dict[str, object]:
    """Return the schema of ``object``, which msgspec does not support: any JSON value, as in a cron's args."""
    if kind is object:
        return {"description": "Any JSON value."}
    raise NotImplementedError(kind)
