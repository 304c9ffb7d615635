"""docs/settings.md and docs/handlers.md say what the code takes: every setting, every argument, every example."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from fnkit.authoring.types import Context, Event
from fnkit.contract.toml_lines import TomlLines
from fnkit.project import settings_schema
from fnkit.project.settings import (
    CronTable,
    FunctionDefaults,
    FunctionOverrides,
    FunctionTable,
    NamespaceTable,
    SettingsTable,
    StageTable,
    TriggerTable,
)
from fnkit.project.settings_file import decode_table
from fnkit.project.validation import RESERVED_VARIABLES
from fnkit.scanner import scan
from fnkit.scanner.decorators import argument_names
from tests.support.source_tree import REPOSITORY

SETTINGS = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
HANDLERS = (REPOSITORY / "docs" / "handlers.md").read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def documented(page: str, heading: str) -> set[str]:
    """The keys in a section's table."""
    rows = re.findall(r"^\| (`[^|]*`) \|", section(page, heading), re.MULTILINE)
    return {key for row in rows for key in re.findall(r"`([a-zA-Z_0-9]+)`", row)}


def keys(table: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(table)}


@pytest.mark.parametrize(
    ("heading", "expected"),
    [
        ("The project", keys(SettingsTable)),
        ("`namespace`", keys(NamespaceTable)),
        ("`defaults`", keys(FunctionDefaults)),
        ("`function`", (keys(FunctionTable) - keys(FunctionDefaults)) | {"runtime"}),
        ("`crons`", keys(CronTable)),
        ("`triggers`", keys(TriggerTable)),
        ("Stages", keys(StageTable)),
    ],
)
def test_every_setting_is_documented_and_nothing_else(heading: str, expected: set[str]) -> None:
    assert documented(SETTINGS, heading) == expected


def test_a_stage_s_functions_take_what_the_page_says() -> None:
    assert keys(FunctionOverrides) - keys(FunctionDefaults) == {"description", "domains"}


@pytest.mark.parametrize("kind", ["function", "cron", "trigger"])
def test_every_argument_of_a_decorator_is_documented(kind: str) -> None:
    assert documented(HANDLERS, f"`@{kind}`") == set(argument_names(kind))


def test_every_key_of_the_event_and_the_context_is_documented() -> None:
    text = section(HANDLERS, "Events and responses")
    shown = set(re.findall(r"`([a-zA-Z0-9]+)`", text))
    assert set(get_type_hints(Event)) | set(get_type_hints(Context)) <= shown


def test_reserved_variables_that_the_page_names_are_reserved() -> None:
    shown = set(re.findall(r"`(PORT|SCW_[A-Z_]+)`", SETTINGS)) - {"SCW_SECRET_KEY"}
    assert shown <= RESERVED_VARIABLES


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", SETTINGS, re.DOTALL))
def test_the_page_s_examples_are_valid_settings(block: str) -> None:
    document = tomllib.loads(block)
    _, problems = decode_table(
        SettingsTable, document["tool"]["fnkit"], "pyproject.toml", TomlLines.from_text(block)
    )
    assert problems == ()


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", HANDLERS, re.DOTALL))
def test_the_page_s_handlers_scan_without_problems(block: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(block, encoding="utf-8")
    report = scan(tmp_path, [tmp_path / "app.py"])
    assert report.problems == ()
    assert report.functions


def test_the_schema_describes_every_setting_of_every_table() -> None:
    schema = settings_schema()
    tables = schema["$defs"]
    assert isinstance(tables, dict)
    kinds = (SettingsTable, NamespaceTable, FunctionDefaults, FunctionOverrides, FunctionTable, CronTable)
    for kind in (*kinds, TriggerTable, StageTable):
        table = tables[kind.__name__]
        assert set(table["properties"]) == keys(kind)
        assert table["additionalProperties"] is False
        assert [key for key, one in table["properties"].items() if not one.get("description")] == []
    assert msgspec.json.decode(msgspec.json.encode(schema)) == schema
