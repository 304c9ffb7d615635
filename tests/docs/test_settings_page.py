"""docs/settings.md and docs/handlers.md document exactly the settings and arguments that the code accepts."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

from fnkit.authoring.types import Context, Event
from fnkit.contract.toml_lines import TomlLines
from fnkit.project.settings import (
    CronTable,
    FunctionDefaults,
    FunctionOverrides,
    FunctionTable,
    FunctionUrlTable,
    NamespaceTable,
    SettingsTable,
    StageTable,
    TriggerTable,
    settings_schema,
)
from fnkit.project.settings_file import decode_table
from fnkit.project.validation import RESERVED_VARIABLES
from fnkit.scanner import scan
from fnkit.scanner.decorators import argument_names
from tests.support.project_tree import build_files
from tests.support.source_tree import REPOSITORY

SETTINGS = (REPOSITORY / "docs" / "settings.md").read_text(encoding="utf-8")
HANDLERS = (REPOSITORY / "docs" / "handlers.md").read_text(encoding="utf-8")


def section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, heading
    return found[1]


def documented_keys(page: str, heading: str) -> set[str]:
    """Return the keys in the table of a section."""
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
def test_documented_settings_equal_the_accepted_ones(heading: str, expected: set[str]) -> None:
    assert documented_keys(SETTINGS, heading) == expected


def test_stage_functions_also_accept_description_and_domains() -> None:
    assert keys(FunctionOverrides) - keys(FunctionDefaults) == {"description", "domains"}


@pytest.mark.parametrize("kind", ["function", "cron", "trigger"])
def test_documented_decorator_arguments_equal_the_accepted_ones(kind: str) -> None:
    assert documented_keys(HANDLERS, f"`@{kind}`") == set(argument_names(kind))


def test_event_and_context_keys_are_documented() -> None:
    text = section(HANDLERS, "Events and responses")
    shown = set(re.findall(r"`([a-zA-Z0-9]+)`", text))
    assert set(get_type_hints(Event)) | set(get_type_hints(Context)) <= shown


def test_documented_reserved_variables_are_reserved() -> None:
    shown = set(re.findall(r"`(PORT|SCW_[A-Z_]+)`", SETTINGS)) - {"SCW_SECRET_KEY"}
    assert shown <= RESERVED_VARIABLES


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", SETTINGS, re.DOTALL))
def test_settings_examples_are_valid(block: str) -> None:
    document = tomllib.loads(block)
    _, problems = decode_table(
        SettingsTable, document["tool"]["fnkit"], "pyproject.toml", TomlLines.from_text(block)
    )
    assert problems == ()


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", HANDLERS, re.DOTALL))
def test_handler_examples_scan_without_problems(block: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(block, encoding="utf-8")
    report = scan(tmp_path, [tmp_path / "app.py"])
    assert report.problems == ()
    assert report.functions


def test_example_of_a_call_between_functions_is_a_project_with_that_url(tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", section(HANDLERS, "Calling another function"), re.DOTALL)
    functions = {one.name: one for one in build_files(tmp_path, {"main.py": block}).functions}
    assert functions["orders"].function_urls == {"STOCK_URL": "stock"}


def test_schema_describes_every_setting_of_every_table() -> None:
    schema = settings_schema()
    tables = schema["$defs"]
    assert isinstance(tables, dict)
    kinds = (
        SettingsTable,
        FunctionUrlTable,
        NamespaceTable,
        FunctionDefaults,
        FunctionOverrides,
        FunctionTable,
        CronTable,
    )
    for kind in (*kinds, TriggerTable, StageTable):
        table = tables[kind.__name__]
        assert set(table["properties"]) == keys(kind)
        assert table["additionalProperties"] is False
        assert [key for key, one in table["properties"].items() if not one.get("description")] == []
    assert msgspec.json.decode(msgspec.json.encode(schema)) == schema
