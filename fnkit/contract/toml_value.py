"""Values in the syntax of TOML."""

from __future__ import annotations

import msgspec


def toml_value(value: object) -> str:
    """Return a value in the syntax of TOML, tables in one line.

    >>> toml_value({"version": "1", "features": ["full"]})
    '{"version" = "1", "features" = ["full"]}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml_value(key)} = {toml_value(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    if isinstance(value, str):
        return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else str(value)
