"""The launch file of an editor: a configuration is added, and everything else stays as it is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fnkit.dev.debugging.commented_json import JsonNode, parse_commented_json
from fnkit.dev.debugging.launch_file import (
    LAUNCH_FILE,
    launch_configuration,
    save_launch_configuration,
    with_configuration,
)

ORDERS = launch_configuration("orders", "Python", folder=".", port=5678)
OTHERS = """{
    // The others of the project.
    "version": "0.2.0",
    "configurations": [
        {"name": "Tests", "type": "debugpy", "program": "// no comment", },  /* theirs */
    ],
    "compounds": [],
}
"""


def plain(node: JsonNode) -> object:
    """Return a parsed value as ``json.loads`` would."""
    if node.members is not None:
        return {name: plain(one) for name, one in node.members.items()}
    return [plain(one) for one in node.items] if node.items is not None else node.value


def test_new_file_has_the_configuration_and_nothing_else(tmp_path: Path) -> None:
    assert save_launch_configuration(tmp_path, ORDERS, 5678)
    document = json.loads((tmp_path / LAUNCH_FILE).read_text())
    assert document == {"version": "0.2.0", "configurations": [ORDERS]}


def test_configuration_is_added_and_every_other_byte_stays() -> None:
    changed = with_configuration(OTHERS, ORDERS, 5678)
    before, after = OTHERS.split('"configurations": [')
    assert changed.startswith(before)
    assert changed.endswith(after)
    found = plain(parse_commented_json(changed))
    assert isinstance(found, dict)
    assert [one["name"] for one in found["configurations"]] == ["fnkit: orders", "Tests"]
    assert found["configurations"][0] == ORDERS
    assert found["configurations"][1]["program"] == "// no comment"


@pytest.mark.parametrize(
    "text",
    [
        '{"configurations": []}',
        '{"configurations": [ // none\n]}',
        '{"configurations":[{"name":"a"}]}',
        '{\r\n\t"configurations": [\r\n\t\t{"name": "a"}\r\n\t]\r\n}\r\n',
    ],
)
def test_configuration_is_added_to_every_layout(text: str) -> None:
    found = plain(parse_commented_json(with_configuration(text, ORDERS, 5678)))
    assert isinstance(found, dict)
    assert found["configurations"][0] == ORDERS
    assert ("\r\n" in text) == ("\r\n" in with_configuration(text, ORDERS, 5678))


def test_own_configuration_keeps_what_its_user_changed_apart_from_the_port() -> None:
    added = with_configuration(OTHERS, ORDERS, 5678)
    edited = added.replace('"justMyCode": true', '"justMyCode": false /* theirs */')
    assert with_configuration(edited, ORDERS, 5678) == edited
    assert with_configuration(edited, ORDERS, 40123) == edited.replace("5678", "40123")


def test_functions_have_configurations_of_their_own() -> None:
    greet = launch_configuration("greet", "Node", folder="greet", port=5678)
    changed = with_configuration(with_configuration("", ORDERS, 5678), greet, 5678)
    assert json.loads(changed)["configurations"] == [greet, ORDERS]
    assert greet["localRoot"] == "${workspaceFolder}/greet"


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "no JSON",
        '{"configurations": {}}',
        '{"configurations": [}',
        '{"configurations": [{"name": "fnkit: orders"}]}',
        '{"configurations": []} and more',
        '{"configurations": [1 2]}',
        "[" * 2000,
        "\xff",
    ],
)
def test_file_that_cannot_be_changed_safely_stays_as_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / LAUNCH_FILE
    file.parent.mkdir()
    file.write_text(text, "latin-1")
    assert not save_launch_configuration(tmp_path, ORDERS, 5678)
    assert file.read_text("latin-1") == text
    assert list(file.parent.iterdir()) == [file]


def test_link_stays_a_link(tmp_path: Path) -> None:
    real = tmp_path / "shared.json"
    real.write_text(OTHERS)
    (tmp_path / ".vscode").mkdir()
    (tmp_path / LAUNCH_FILE).symlink_to(real)
    assert save_launch_configuration(tmp_path, ORDERS, 5678)
    assert (tmp_path / LAUNCH_FILE).is_symlink()
    assert "fnkit: orders" in real.read_text()
