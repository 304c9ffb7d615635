"""Mistakes of users: the error, the exit code, and the unchanged deployment."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.platform import PlatformUnderTest, call_function
from tests.support.ports import free_port
from tests.support.waiting import wait_until

HELLO = "from fnkit import function\n\n@function\ndef hello(event, context):\n    return 'hello'\n"


def make_project(folder: Path, name: str, source: str = HELLO) -> None:
    (folder / "fnkit.toml").write_text(f'name = "{name}"\n')
    (folder / "main.py").write_text(source)


@pytest.mark.long
@pytest.mark.slow
def test_syntax_error_keeps_the_deployed_version(platform: PlatformUnderTest, project: Path) -> None:
    make_project(project, "broken")
    fnkit = platform.command
    deployed = fnkit("deploy", "--local", "--json").ok().json()
    (project / "main.py").write_text(HELLO.replace("return 'hello'", "return 'hello"))
    result = fnkit("deploy", "--local", "--json")
    assert result.code == 2
    (problem,) = result.json()["problems"]
    assert (problem["code"], problem["file"], problem["line"]) == ("syntax-error", "main.py", 5)
    assert call_function(platform, deployed["functions"][0]["domain"]).text == "hello"
    fnkit("destroy", "--local", "--yes").ok()  # works although the source is invalid


@pytest.mark.slow
def test_missing_requirement_is_reported_with_its_import(platform: PlatformUnderTest, project: Path) -> None:
    make_project(project, "missing", "import nosuchpackage\n" + HELLO)
    result = platform.command("deploy", "--local", "--json")
    assert result.code != 0
    error = result.json()["error"]
    assert error["code"] == "missing-requirement"
    assert (error["file"], error["line"]) == ("main.py", 1)
    assert "nosuchpackage" in error["message"]
    assert error["hint"]


@pytest.mark.long
@pytest.mark.slow
def test_too_large_archive_error_names_the_largest_file(platform: PlatformUnderTest, project: Path) -> None:
    make_project(project, "large")
    with (project / "model.bin").open("wb") as file:
        file.write(os.urandom(101 * 1024 * 1024))
    result = platform.command("deploy", "--local", "--json")
    assert result.code == 1
    error = result.json()["error"]
    assert error["code"] == "archive-too-large"
    assert "model.bin" in error["message"] + error["hint"]


@pytest.mark.slow
def test_import_error_returns_500_and_is_logged(platform: PlatformUnderTest, project: Path) -> None:
    make_project(project, "raising", HELLO + "\nraise RuntimeError('no database here')\n")
    fnkit = platform.command
    deployed = fnkit("deploy", "--local", "--json")
    assert deployed.code == 1
    (function,) = deployed.json()["functions"]
    assert function["status"] == "ready", "as in production"
    assert function["error"]["code"] == "import-failed"
    answer = call_function(platform, function["domain"])
    assert answer.status == 500
    assert "no database here" in answer.text
    wait_until(lambda: is_logged(platform, b"no database here"), what="the log line")
    fnkit("destroy", "--local", "--yes").ok()


def is_logged(platform: PlatformUnderTest, text: bytes) -> bool:
    """Return whether a log file contains the text. Files of other tests' functions may be deleted meanwhile."""
    for file in (platform.home / "logs").rglob("*"):
        with contextlib.suppress(OSError):
            if file.is_file() and text in file.read_bytes():
                return True
    return False


def test_missing_credentials_error_suggests_local(fnkit: Command, project: Path) -> None:
    make_project(project, "keyless")
    result = fnkit("deploy", "--json")
    assert result.code == 2
    error = result.json()["error"]
    assert error["code"] == "no-credentials"
    assert "--local" in error["hint"]


@pytest.mark.long
def test_unreachable_api_has_its_own_error_code(fnkit: Command, project: Path) -> None:
    make_project(project, "unreachable")
    url = f"http://127.0.0.1:{free_port()}"
    result = fnkit(
        "deploy", "--json", "--api-url", url, "--project-id", "1" * 8 + "-1111-1111-1111-" + "1" * 12,
        SCW_SECRET_KEY="11111111-1111-1111-1111-111111111111",
    )  # fmt: skip
    assert result.code == 1
    assert result.json()["error"]["code"] == "api-unreachable"


@pytest.mark.slow
def test_wrong_secret_key_is_rejected_and_not_printed(platform: PlatformUnderTest, project: Path) -> None:
    make_project(project, "wrongkey")
    key = "99999999-9999-4999-8999-999999999999"
    result = Command({**platform.environment, "SCW_SECRET_KEY": key})("deploy", "--json", "-v")
    assert result.code == 1
    assert result.json()["error"]["code"] == "authentication"
    assert "SCW_SECRET_KEY" in result.json()["error"]["hint"]
    assert key not in result.stdout + result.stderr


@pytest.mark.slow
def test_proxy_variables_do_not_apply_to_loopback(platform: PlatformUnderTest, project: Path) -> None:
    make_project(project, "proxied")
    fnkit = platform.command
    unused_url = f"http://127.0.0.1:{free_port()}"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"), unused_url)
    Command({**fnkit.environment, **proxies})("deploy", "--local").ok()
    fnkit("destroy", "--local", "--yes").ok()


@pytest.mark.slow
def test_missing_secret_is_named_and_values_are_never_printed(platform: PlatformUnderTest, project: Path) -> None:
    source = HELLO.replace("@function\n", "@function(secrets=['DATABASE_URL', 'PRESENT'])\n")
    make_project(project, "secretive", source)
    (project / ".env").write_text("PRESENT=postgres://user:hunter2@host/db\n")
    result = platform.command("deploy", "--local", "--json")
    assert result.code == 2
    (problem,) = result.json()["problems"]
    assert "DATABASE_URL" in problem["message"]
    deployed = platform.command("deploy", "--local", "-vv", DATABASE_URL="postgres://user:hunter3@host/db").ok()
    planned = platform.command("plan", "--local", "--json", DATABASE_URL="postgres://user:hunter4@host/db").ok()
    output = deployed.stdout + deployed.stderr + planned.stdout + planned.stderr
    assert "hunter" not in output
    assert ["secret DATABASE_URL changed"] in [change["reasons"] for change in planned.json()["changes"]]
    for file in platform.home.rglob("*"):
        if file.is_file():
            assert b"hunter" not in file.read_bytes(), f"{file.name} contains a plaintext secret"
    platform.command("destroy", "--local", "--yes").ok()


def test_invalid_plan_file_is_rejected(fnkit: Command, project: Path) -> None:
    make_project(project, "planless")
    (project / "plan.json").write_text(json.dumps({"changes": 3}))
    result = fnkit("deploy", "--json", "--plan", "plan.json")
    assert result.code == 2
    assert result.json()["error"]["code"] == "not-a-plan"
