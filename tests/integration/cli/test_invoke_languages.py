"""``fnkit invoke`` calls handlers in other languages than Python."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.language_programs import node_command, php_command

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

[[function]]
name = "go"
path = "go"
runtime = "go126"
handler = "Handle"
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
GO = 'package shop\n\nimport "net/http"\n\nfunc Handle(w http.ResponseWriter, r *http.Request) {}\n'


@pytest.fixture
def shop(project: Path) -> Path:
    (project / "fnkit.toml").write_text(SETTINGS)
    for path, text in {
        "node/handler.js": NODE,
        "php/handler.php": PHP,
        "go/go.mod": "module example.com/shop\n\ngo 1.24\n",
        "go/handler.go": GO,
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
def test_compiled_language_is_called_on_a_platform(fnkit: Command) -> None:
    failed = fnkit("invoke", "go")
    assert failed.code == 1
    assert "go uses the runtime go126, whose functions are compiled first." in failed.stderr
    assert "fnkit invoke go --remote --local" in failed.stderr


@pytest.mark.usefixtures("shop")
def test_missing_interpreter_is_named(fnkit: Command, tmp_path: Path) -> None:
    failed = Command({**fnkit.environment, "PATH": str(tmp_path)})("invoke", "php")
    assert failed.code == 1
    assert "there is no php on PATH" in failed.stderr


@pytest.mark.usefixtures("shop")
def test_node_beside_fnkit_is_used(fnkit: Command, tmp_path: Path) -> None:
    result = Command({**fnkit.environment, "PATH": str(tmp_path)})("invoke", "node", "--json").ok().json()
    assert (result["status"], result["logs"]) == (201, ["called"])


def require(language: str) -> None:
    """Skip the test if the interpreter of a language is not on ``PATH``."""
    program = (node_command if language == "node" else php_command)()[0]
    assert os.access(program, os.X_OK)
