"""Bad input of each verb: one error with a code and a hint, the documented exit code, and nothing changed on disk.

One row of each table runs in ``make test``, all others in ``make test-long``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fnkit.contract.resources import Runtime
from tests.support.command import Command, Completed
from tests.support.scripted_server import ReceivedRequest, ScriptedResponse, scripted_server
from tests.support.terminal import terminal
from tests.support.waiting import wait_until

HANDLERS = """\
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


@pytest.fixture
def shop(project: Path) -> Path:
    """A valid project with a function, a cron and a trigger."""
    (project / "fnkit.toml").write_text('name = "shop"\n')
    (project / "main.py").write_text(HANDLERS)
    return project


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
    with scripted_server(_empty_api) as server, unchanged(shop):
        result = call(verb, SCW_API_URL=server.url)
    check_error(result, 1, "lock-file")


@pytest.mark.parametrize("verb", rows(CALLS_API))
def test_unreachable_api(verb: str, shop: Path) -> None:
    with unchanged(shop):
        result = call(verb, SCW_API_URL=f"http://127.0.0.1:{closed_port()}")
    check_error(result, 1, "api-unreachable")


@pytest.mark.parametrize("verb", rows(tuple(verb for verb in CALLS_API if verb not in LOCAL_ONLY)))
def test_unreachable_proxy(verb: str, shop: Path) -> None:
    proxy = f"http://127.0.0.1:{closed_port()}"
    with unchanged(shop):
        result = call(verb, https_proxy=proxy, HTTPS_PROXY=proxy, no_proxy="", NO_PROXY="")
    check_error(result, 1, "proxy")


@pytest.mark.long  # reads are repeated for some seconds
@pytest.mark.parametrize(
    "verb", [verb for verb in CALLS_API if verb != "destroy --yes"]
)  # one answer is enough for it
def test_platform_that_goes_down_in_the_middle(verb: str, shop: Path) -> None:
    """The first request is answered; from then on each connection is cut."""

    def answer(request: ReceivedRequest, number: int) -> ScriptedResponse:
        return _empty_api(request, number) if number == 0 else ScriptedResponse(drop=True)

    with scripted_server(answer) as server, unchanged(shop):
        result = call(verb, SCW_API_URL=server.url)
    assert result.code == 1, result
    assert "Traceback (most recent call last)" not in result.stderr
    # With one empty list, some commands know already that nothing is deployed.
    assert re.match(r"error\[(api-unreachable|not-deployed|no-[a-z-]+)\]: ", result.stderr), result.stderr
    assert "\n  hint: " in result.stderr


@pytest.mark.parametrize("verb", rows(CALLS_API))
def test_server_that_is_not_the_api(verb: str, shop: Path) -> None:
    page = ScriptedResponse(body=b"<html>Welcome</html>", headers={"Content-Type": "text/html"})
    with scripted_server(lambda _request, _number: page) as server, unchanged(shop):
        result = call(verb, SCW_API_URL=server.url)
    check_error(result, 1, "not-the-api")


@pytest.mark.parametrize("verb", rows(CALLS_API))
def test_interruption_while_the_api_does_not_answer(verb: str, shop: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, unchanged(shop):
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        process = Command({**CREDENTIALS, "SCW_API_URL": url}).start(*verb.split(), cwd=shop)
        server.settimeout(60)
        connection, _ = server.accept()
        with connection:
            connection.settimeout(60)
            connection.recv(1)  # it waits for the response now
            os.killpg(process.pid, signal.SIGINT)
            stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert stderr.splitlines()[-1].startswith("Interrupted."), stderr
    assert "Traceback" not in stderr


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


def _empty_api(request: ReceivedRequest, _number: int) -> ScriptedResponse:
    """Answer as an API with which nothing is deployed."""
    if request.path.endswith("/fnkit/v1/platform"):
        return ScriptedResponse(404, b'{"type": "not_found", "message": "no such page"}')
    if request.path.partition("?")[0].endswith("/runtimes"):
        runtime = dict.fromkeys(Runtime.__struct_fields__, "") | {"name": "python311", "status": "available"}
        return ScriptedResponse(body=json.dumps({"runtimes": [runtime], "total_count": 1}).encode())
    kind = request.path.partition("?")[0].rpartition("/")[2]
    return ScriptedResponse(body=f'{{"{kind}": [], "total_count": 0}}'.encode())


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
