"""``fnkit invoke`` calls handlers in other languages than Python."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.language_programs import node_command, php_command
from tests.support.node_registry import node_registry
from tests.support.toolchains import require_program

SETTINGS = """name = "shop"

[[function]]
name = "node"
path = "node"
runtime = "node24"
handler = "handler.handle"
env = {LEVEL = "info"}

[[function]]
name = "php"
path = "php"
runtime = "php84"
handler = "handler.handle"
env = {LEVEL = "info"}
"""
NODE = """exports.handle = async (event, context) => {
  if (event.path === "/fail") throw new Error("no such order");
  console.log("called");
  return { statusCode: 201, body: { path: event.path, name: context.functionName, level: process.env.LEVEL,
    folder: process.cwd() } };
};
"""
PHP = """<?php
function handle($event, $context)
{
    if ($event['path'] === '/fail') throw new Exception('no such order');
    echo "called\\n";
    return ['statusCode' => 201, 'body' => ['path' => $event['path'], 'name' => $context['functionName'],
        'level' => getenv('LEVEL'), 'folder' => getcwd()]];
}
"""


@pytest.fixture
def shop(project: Path) -> Path:
    (project / "fnkit.toml").write_text(SETTINGS)
    for path, text in {
        "node/handler.js": NODE,
        "php/handler.php": PHP,
    }.items():
        (project / path).parent.mkdir(exist_ok=True)
        (project / path).write_text(text)
    return project


@pytest.mark.parametrize("language", ["node", "php"])
def test_handler_gets_event_context_and_environment(shop: Path, fnkit: Command, language: str) -> None:
    require(language)
    result = fnkit("invoke", language, "--path", "/a%20b", "--json").ok().json()
    body = json.loads(str(result["body"]))
    assert (result["status"], result["logs"]) == (201, ["called"])
    assert (body["path"], body["name"], body["level"]) == ("/a b", language, "info")
    assert not Path(body["folder"]).is_relative_to(shop)


@pytest.mark.parametrize("language", ["node", "php"])
def test_exception_of_a_handler_is_its_response(shop: Path, fnkit: Command, language: str) -> None:
    require(language)
    result = fnkit("invoke", language, "--path", "/fail", "--json").json()
    assert result["status"] == 500
    assert "no such order" in str(result["body"])
    assert any(str(shop / language) in line for line in result["logs"])


@pytest.mark.usefixtures("shop")
def test_missing_interpreter_is_named(fnkit: Command, tmp_path: Path) -> None:
    failed = Command({**fnkit.environment, "PATH": str(tmp_path)})("invoke", "php")
    assert failed.code == 1
    assert "No PHP 8.4 was found on this machine" in failed.stderr


@pytest.mark.usefixtures("shop")
def test_node_beside_fnkit_is_used(fnkit: Command, tmp_path: Path) -> None:
    result = Command({**fnkit.environment, "PATH": str(tmp_path)})("invoke", "node", "--json").ok().json()
    assert (result["status"], result["logs"]) == (201, ["called"])


@pytest.mark.long
def test_packages_that_are_not_installed_come_from_the_lock_file(shop: Path, fnkit: Command) -> None:
    require("node")
    npm = require_program("npm")
    with node_registry() as registry:
        registry.add("left")
        folder = shop / "node"
        (folder / "package.json").write_text(json.dumps({"name": "shop", "dependencies": {"left": "1.0.0"}}))
        (folder / "handler.js").write_text("exports.handle = () => require('left') + __dirname;\n")
        variables = {"npm_config_registry": registry.url}
        lock = [npm, "install", "--package-lock-only", "--no-audit", "--no-fund"]
        subprocess.run(lock, cwd=folder, env=os.environ | variables, check=True, capture_output=True)
        fnkit = Command({**fnkit.environment, **variables})
        copy = fnkit("invoke", "node", "--json").ok().json()["body"]
        asked = list(registry.requests)
        assert fnkit("invoke", "node", "--json").ok().json()["body"] == copy
    assert copy.startswith("left")
    assert not copy.startswith(f"left{folder}")
    assert registry.requests == asked
    assert not (folder / "node_modules").exists()


def test_installed_packages_are_used_as_they_are(shop: Path, fnkit: Command) -> None:
    require("node")
    folder = shop / "node"
    (folder / "package.json").write_text(json.dumps({"name": "shop", "dependencies": {"left": "1.0.0"}}))
    (folder / "handler.js").write_text("exports.handle = () => require('left') + __dirname;\n")
    (folder / "node_modules/left").mkdir(parents=True)
    (folder / "node_modules/left/index.js").write_text("module.exports = 'mine ';")
    assert fnkit("invoke", "node", "--json").ok().json()["body"] == f"mine {folder}"


def test_composer_installs_what_is_missing_in_a_copy(shop: Path, fnkit: Command) -> None:
    require("php")
    require_program("composer")
    folder = shop / "php"
    (folder / "composer.json").write_text('{"autoload": {"psr-4": {"Shop\\\\": "src/"}}}')
    (folder / "src").mkdir()
    (folder / "src/Book.php").write_text("<?php namespace Shop; class Book { const TITLE = 'Emma'; }")
    (folder / "handler.php").write_text(
        "<?php require __DIR__ . '/vendor/autoload.php';\n"
        "function handle($event, $context) { return Shop\\Book::TITLE; }"
    )
    assert fnkit("invoke", "php", "--json").ok().json()["body"] == "Emma"
    assert not (folder / "vendor").exists()


def require(language: str) -> None:
    """Skip the test if the interpreter of a language is not on ``PATH``."""
    program = (node_command if language == "node" else php_command)()[0]
    assert os.access(program, os.X_OK)
