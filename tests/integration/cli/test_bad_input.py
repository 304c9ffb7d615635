"""Bad input of each verb: one error with a code and a hint, the documented exit code, and nothing changed on disk.

One row of each table runs in ``make test``, all others in ``make test-long``.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.scripted_server import scripted_server
from tests.support.terminal import terminal
from tests.support.verb_tables import (
    BUNDLES,
    READS_PROJECT,
    call,
    check_error,
    empty_api,
    rows,
    unchanged,
)
from tests.support.waiting import wait_until


@pytest.mark.parametrize("verb", rows(READS_PROJECT))
def test_folder_without_a_project(verb: str, project: Path) -> None:
    (project / "main.py").write_text("print('hello')\n")
    with unchanged(project):
        check_error(call(verb), 2, "no-settings")


@pytest.mark.parametrize("verb", rows(READS_PROJECT))
def test_settings_in_both_files(verb: str, shop: Path) -> None:
    (shop / "pyproject.toml").write_text('[tool.fnkit]\nname = "shop"\n')
    with unchanged(shop):
        check_error(call(verb), 2, "settings-twice")


@pytest.mark.parametrize("verb", rows(READS_PROJECT))
def test_settings_that_are_not_toml(verb: str, shop: Path) -> None:
    (shop / "fnkit.toml").write_text("name = = 'shop'\n")
    with unchanged(shop):
        result = call(verb)
    check_error(result, 2, "toml-syntax")
    assert "\n  --> fnkit.toml:1:8\n   |\n 1 | name = = 'shop'\n   |        ^\n" in result.stderr


def test_the_nearest_of_nested_projects_is_used(shop: Path) -> None:
    inner = shop / "inner"
    inner.mkdir()
    (inner / "fnkit.toml").write_text('name = "inner"\nregoin = "fr-par"\n')
    with unchanged(shop):
        result = call("plan", inner)
        again = call("plan", shop.parent)
    check_error(result, 2, "unknown-setting")
    check_error(again, 2, "no-settings")


@pytest.mark.parametrize("verb", rows(BUNDLES))
@pytest.mark.parametrize(
    "content", ["= broken [\n", 'version = 99\nkey = "x"\n', "\xff"], ids=["toml", "other", "bytes"]
)
def test_broken_lock_file(verb: str, content: str, shop: Path) -> None:
    (shop / "requirements.txt").write_text("pure==1.0\n")
    for target in ("scaleway", "local"):
        (shop / f"fnkit.python311.{target}.lock").write_bytes(content.encode("latin-1"))
    with scripted_server(empty_api) as server, unchanged(shop):
        result = call(verb, SCW_API_URL=server.url)
    check_error(result, 1, "lock-file")


def test_interruption_while_modules_are_imported(fnkit: Command, shop: Path, tmp_path: Path) -> None:
    """A module that the command line imports waits until the signal has come."""
    modules, reached = tmp_path / "modules", tmp_path / "reached"
    modules.mkdir()
    (modules / "click.py").write_text(
        f"import pathlib, time\npathlib.Path({str(reached)!r}).touch()\ntime.sleep(60)\n"
    )
    process = fnkit.start("scan", cwd=shop, PYTHONPATH=str(modules))
    wait_until(reached.exists)
    os.killpg(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize("verb", rows(READS_PROJECT))
def test_error_in_a_narrow_terminal(verb: str, project: Path) -> None:
    (project / "fnkit.toml").write_text('name = "shop"\nregion = "fr"\nmemory_of_functions = 300\n')
    with unchanged(project), terminal(*verb.split(), directory=project, columns=40) as session:
        assert session.wait() == 2
    assert "error[unknown-setting]:" in session.plain
    assert "  --> fnkit.toml:3:1\n" in session.plain
    assert max(map(len, session.plain.splitlines())) <= 40


@pytest.mark.parametrize(
    "arguments", ["platform env", "platform api-key list", "platform backup x", "platform trust"]
)
def test_command_that_needs_a_platform_where_none_runs(arguments: str, fnkit: Command, project: Path) -> None:
    with unchanged(project):
        result = fnkit(*arguments.split())
    assert result.code == 1
    assert re.match(r"error\[(platform-not-running|no-platform|no-authority)\]: .+\n  hint: .+\n$", result.stderr)
