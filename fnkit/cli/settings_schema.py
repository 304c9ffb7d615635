"""The JSON Schema of the settings, as text and as the file that the first line of ``fnkit.toml`` names."""

from __future__ import annotations

import json

SCHEMA_FILE = ".fnkit/schema.json"


def schema_text() -> str:
    """Return the schema as a JSON document."""
    from fnkit.project import settings_schema

    return json.dumps(settings_schema(), indent=1) + "\n"


def schema_file() -> dict[str, str]:
    """Return the file that editors read: its text by its path relative to the project."""
    return {SCHEMA_FILE: schema_text()}
