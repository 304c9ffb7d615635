"""The verbs of the command line by what they need, and what an error of each looks like."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fnkit.contract.resources import Runtime
from tests.support.command import Command, Completed
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse

PROJECT_WITH_EVERYTHING = """\
from fnkit import cron, function, trigger

@function(runtime="python311")
def hello(event, context): ...

@cron("* * * * *", name="tick")
@function(runtime="python311")
def tick(event, context): ...

@trigger(nats="orders", name="orders")
@function(runtime="python311")
def orders(event, context): ...
"""
ID = "11111111-2222-4333-8444-555555555555"

CALLS_API = (
    "plan",
    "deploy",
    "status",
    "invoke hello --remote",
    "logs",
    "open hello",
    "cron list",
    "cron run tick",
    "cron history tick",
    "trigger list",
    "trigger deliveries orders",
    "trigger send orders hello",
    "token list",
    "token create",
    f"token delete {ID}",
    "domain list",
    "domain add shop.example.com hello",
    "domain remove shop.example.com",
    "secret list --deployed",
    "destroy --yes",
)
READS_PROJECT = (
    *CALLS_API,
    "scan",
    "bundle",
    "lock",
    "dev",
    "invoke hello",
    "test",
    "openapi",
    "event cron tick",
    "cron next tick",
    "secret list",
    "secret set KEY",
    "secret unset KEY",
)
LOCAL_ONLY = ("trigger send orders hello",)
"""Refused before a request, unless the API is on this machine."""
BUNDLES = ("bundle", "lock", "plan", "deploy")
ALWAYS = {"plan"}
CREDENTIALS = {
    "SCW_ACCESS_KEY": "SCW00000000000000000",
    "SCW_SECRET_KEY": ID,
    "SCW_DEFAULT_PROJECT_ID": ID,
}


def rows(verbs: tuple[str, ...]) -> list[object]:
    """Return a table's rows, of which all but one are for ``make test-long``."""
    return [pytest.param(verb, id=verb, marks=() if verb in ALWAYS else pytest.mark.long) for verb in verbs]


def call(verb: str, directory: Path | None = None, **variables: str) -> Completed:
    """Run a command with credentials and further environment variables."""
    return Command({**CREDENTIALS, **variables})(*verb.split(), cwd=directory)


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Check that the block changes no file."""
    before = contents(folder)
    yield
    assert contents(folder) == before


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def check_error(result: Completed, exit_code: int, error_code: str) -> None:
    """Check that the output is one error with a hint."""
    assert result.code == exit_code, result
    assert result.stdout == ""
    assert "Traceback (most recent call last)" not in result.stderr
    assert re.findall(r"^error\[([a-z-]+)\]: .*[.)]$", result.stderr, re.MULTILINE) == [error_code], result.stderr
    assert re.search(r"^  hint: .+$", result.stderr, re.MULTILINE), result.stderr


def empty_api(request: ReceivedRequest, _number: int) -> ScriptedResponse:
    """Answer as an API with which nothing is deployed."""
    if request.path.endswith("/fnkit/v1/platform"):
        return ScriptedResponse(404, b'{"type": "not_found", "message": "no such page"}')
    if request.path.partition("?")[0].endswith("/runtimes"):
        runtime = dict.fromkeys(Runtime.__struct_fields__, "") | {"name": "python311", "status": "available"}
        return ScriptedResponse(body=json.dumps({"runtimes": [runtime], "total_count": 1}).encode())
    kind = request.path.partition("?")[0].rpartition("/")[2]
    return ScriptedResponse(body=f'{{"{kind}": [], "total_count": 0}}'.encode())
