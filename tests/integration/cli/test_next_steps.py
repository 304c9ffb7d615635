"""The commands that a deploy suggests work as they are printed, and are printed only when something was created."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command import FNKIT
from tests.support.platform import PlatformUnderTest
from tests.support.project_tree import write_files

pytestmark = [pytest.mark.long, pytest.mark.slow]

PUBLIC = """
from fnkit import cron, function

@cron("0 0 1 1 *", name="nightly")
def cleanup(event, context):
    return "cleaned"

@function(memory=128, privacy="private")
def admin(event, context):
    return "inside"

@function(memory=128)
def hello(event, context):
    return "hello"
"""
PRIVATE = """
from fnkit import function

@function(memory=128, privacy="private")
def admin(event, context):
    return "inside"
"""
CRON = """
from fnkit import cron

@cron("0 0 1 1 *", name="nightly")
def cleanup(event, context):
    return "cleaned"
"""


def suggestions(output: str) -> list[str]:
    return [line.strip() for line in output.partition("\nTry:\n")[2].splitlines()]


@pytest.mark.parametrize(
    ("source", "options", "begin", "answer"),
    [
        (PUBLIC, (), "curl http", "hello"),
        (PUBLIC, ("--stage", "preview", "--region", "nl-ams"), "curl http", "hello"),
        (PRIVATE, (), '(eval "$(fnkit platform env)" && curl -H "X-Auth-Token: $SCW_SECRET_KEY" http', "inside"),
        (CRON, ("--stage", "preview"), "fnkit cron run cleanup/nightly --stage preview --local", "200"),
    ],
)
def test_suggested_command_calls_the_function_of_this_deploy(
    platform: PlatformUnderTest,
    tmp_path: Path,
    source: str,
    options: tuple[str, ...],
    begin: str,
    answer: str,
) -> None:
    name = f"next-{abs(hash((source, options))) % 10**8}"
    project = write_files(tmp_path, {"fnkit.toml": f'name = "{name}"\n', "handlers.py": source})
    fnkit = platform.command
    deployed = fnkit("deploy", "--local", *options, cwd=project).ok()
    call, logs = suggestions(deployed.stdout)
    assert call.startswith(begin)
    assert logs == " ".join(("fnkit logs --follow", *options, "--local"))
    assert platform.secret_key not in deployed.stdout

    path = f"{FNKIT.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, **fnkit.environment, "PATH": path}
    done = subprocess.run(
        ["bash", "-c", call],
        cwd=project,
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert answer in done.stdout, done.stderr

    again = fnkit("deploy", "--local", *options, cwd=project).ok()
    (project / "handlers.py").write_text(source.replace("return ", "return 'new ' + "))
    changed = fnkit("deploy", "--local", *options, cwd=project).ok()
    assert suggestions(again.stdout) == suggestions(changed.stdout) == []
