"""``fnkit init``: an existing folder becomes a project, and no file of it changes."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.project_tree import write_files

NODE = {
    "package.json": '{"type": "module"}',
    "src/order.js": "export async function handle(event) {\n  return {statusCode: 200}\n}\n",
    "src/order.test.js": "export function handle() {}\n",
    "legacy.cjs": "exports.handler = () => ({statusCode: 200})\n",
}
PYTHON = {
    "pyproject.toml": '[project]\nname = "The_Shop"\nversion = "1"\ndependencies = []\n',
    "main.py": "from fnkit import cron\n\n@cron('0 * * * *')\ndef sweep(event, context):\n    return ''\n",
    "old.py": "def handle(event, context):\n    return ''\n",
}
PHP = {"index.php": "<?php\nfunction handle($event, $context) {\n  return '';\n}\n"}
GO = {
    "go.mod": "module example.com/shop\n\ngo 1.26\n",
    "orders.go": "package shop\n\n"
    'import "net/http"\n\n'
    "func ListOrders(w http.ResponseWriter, r *http.Request) {\n}\n",
    "orders_test.go": "package shop\n",
}
RUST = {
    "Cargo.toml": '[package]\nname = "shop"\nversion = "0.1.0"\nedition = "2024"\n\n[dependencies]\naxum = "0.8"\n',
    "src/lib.rs": 'pub async fn handle() -> &\'static str {\n    ""\n}\n',
}
FOLDERS = {
    "Python": (PYTHON, {"sweep": "main.sweep", "old": "old.handle"}),
    "Node": (NODE, {"order": "src/order.handle", "legacy": "legacy.handler"}),
    "PHP": (PHP, {"index": "index.handle"}),
    "Go": (GO, {"list-orders": "ListOrders"}),
    "Rust": (RUST, {"handle": "handle"}),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("language", FOLDERS)
def test_folder_becomes_a_valid_project_with_its_handlers(fnkit: Command, project: Path, language: str) -> None:
    files, functions = FOLDERS[language]
    write_files(project, files)
    before = contents(project)
    done = fnkit("init", "--json").ok().json()
    assert done["files"] == [".fnkit/schema.json", ".gitignore", "fnkit.toml"]
    assert done["languages"] == [language]
    assert sorted(done["functions"]) == sorted(functions)
    assert done["problem_count"] == 0
    after = contents(project)
    assert {name: after[name] for name in before} == before
    scanned = fnkit("scan", "--json").ok().json()
    assert {one["name"]: one["handler"] for one in scanned["functions"]} == functions
    assert fnkit().ok().stdout.splitlines()[2].split("  ")[1] == "fnkit scan"


def test_name_is_the_one_of_pyproject(fnkit: Command, project: Path) -> None:
    write_files(project, PYTHON)
    fnkit("init").ok()
    assert tomllib.loads((project / "fnkit.toml").read_text())["name"] == "the-shop"


def test_settings_name_the_schema_that_scan_prints(fnkit: Command, project: Path) -> None:
    write_files(project, NODE)
    fnkit("init").ok()
    assert (project / "fnkit.toml").read_text().startswith("#:schema .fnkit/schema.json\n")
    shown = fnkit("scan", "--schema").ok().stdout
    assert (project / ".fnkit" / "schema.json").read_text() == shown
    assert fnkit("scan", "--schema", "--json").ok().json() == json.loads(shown)


@pytest.mark.parametrize("settings", ["fnkit.toml", "pyproject.toml"])
def test_project_is_left_as_it_is(fnkit: Command, project: Path, settings: str) -> None:
    table = "" if settings == "fnkit.toml" else "[tool.fnkit]\n"
    write_files(project, {settings: f'{table}name = "mine"\n'})
    before = contents(project)
    done = fnkit("init").ok()
    assert "is a project already. Nothing was written." in done.stdout
    assert contents(project) == before


def test_ignore_file_is_kept_and_its_gap_is_named(fnkit: Command, project: Path) -> None:
    write_files(project, {**NODE, ".gitignore": "node_modules/\n"})
    done = fnkit("init").ok()
    assert "warning: .gitignore does not name .env" in done.stderr
    assert (project / ".gitignore").read_text() == "node_modules/\n"


def test_folder_without_handlers_says_how_to_mark_one(fnkit: Command, project: Path) -> None:
    write_files(project, {"app.py": "print('hello')\n"})
    assert "fnkit init" in fnkit().ok().stdout
    assert "No handler was found. Mark one with @function" in fnkit("init").ok().stdout
    assert fnkit("scan").ok().code == 0


def test_folder_inside_a_project_becomes_one_of_its_own(fnkit: Command, project: Path) -> None:
    write_files(project, {"fnkit.toml": 'name = "outer"\n', "inner/package.json": "{}"})
    assert fnkit("init", "inner", "--json").ok().json()["files"] == [
        ".fnkit/schema.json",
        ".gitignore",
        "fnkit.toml",
    ]


def test_folder_must_exist(fnkit: Command, project: Path) -> None:
    assert fnkit("init", "nowhere", cwd=project).code == 2
