"""What users get wrong: a clear error, a true exit code, and nothing lost."""

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


@pytest.mark.slow
def test_a_broken_edit_leaves_what_is_deployed_as_it_was(platform: PlatformUnderTest, project: Path) -> None:
    make_project(project, "broken")
    fnkit = platform.command
    deployed = fnkit("deploy", "--local", "--json").ok().json()
    (project / "main.py").write_text(HELLO.replace("return 'hello'", "return 'hello"))
    refused = fnkit("deploy", "--local", "--json")
    assert refused.code == 2
    (problem,) = refused.json()["problems"]
    assert (problem["code"], problem["file"], problem["line"]) == ("syntax-error", "main.py", 5)
    assert call_function(platform, deployed["functions"][0]["domain"]).text == "hello"
    fnkit("destroy", "--local", "--yes").ok()  # the code is still broken: looking and removing do not need it


@pytest.mark.slow
def test_a_missing_requirement_is_found_before_anything_is_uploaded(
    platform: PlatformUnderTest, project: Path
) -> None:
    make_project(project, "missing", "import nosuchpackage\n" + HELLO)
    refused = platform.command("deploy", "--local", "--json")
    assert refused.code != 0
    error = refused.json()["error"]
    assert error["code"] == "missing-requirement"
    assert (error["file"], error["line"]) == ("main.py", 1)
    assert "nosuchpackage" in error["message"]
    assert error["hint"]


@pytest.mark.slow
def test_an_archive_over_the_limit_names_what_is_large(platform: PlatformUnderTest, project: Path) -> None:
    make_project(project, "large")
    with (project / "model.bin").open("wb") as file:
        file.write(os.urandom(101 * 1024 * 1024))
    refused = platform.command("deploy", "--local", "--json")
    assert refused.code == 1
    error = refused.json()["error"]
    assert error["code"] == "archive-too-large"
    assert "model.bin" in error["message"] + error["hint"]


@pytest.mark.slow
def test_a_handler_that_raises_on_import_answers_500_and_the_log_says_why(
    platform: PlatformUnderTest, project: Path
) -> None:
    make_project(project, "raising", HELLO + "\nraise RuntimeError('no database here')\n")
    fnkit = platform.command
    deployed = fnkit("deploy", "--local", "--json").ok().json()
    (function,) = deployed["functions"]
    assert function["status"] == "ready", "an import error shows at request time"
    answer = call_function(platform, function["domain"])
    assert answer.status == 500
    assert "no database here" in answer.text
    wait_until(lambda: is_logged(platform, b"no database here"), what="the log line")
    fnkit("destroy", "--local", "--yes").ok()


def is_logged(platform: PlatformUnderTest, text: bytes) -> bool:
    """Whether a log has the text; those of other tests' functions may go while we look."""
    for file in (platform.home / "logs").rglob("*"):
        with contextlib.suppress(OSError):
            if file.is_file() and text in file.read_bytes():
                return True
    return False


def test_without_credentials_it_says_where_they_would_come_from(fnkit: Command, project: Path) -> None:
    make_project(project, "keyless")
    refused = fnkit("deploy", "--json")
    assert refused.code == 2
    error = refused.json()["error"]
    assert error["code"] == "no-credentials"
    assert "--local" in error["hint"]


def test_an_api_that_is_not_there_is_said_so(fnkit: Command, project: Path) -> None:
    make_project(project, "nobody")
    url = f"http://127.0.0.1:{free_port()}"
    refused = fnkit(
        "deploy", "--json", "--api-url", url, "--project-id", "1" * 8 + "-1111-1111-1111-" + "1" * 12,
        SCW_SECRET_KEY="11111111-1111-1111-1111-111111111111",
    )  # fmt: skip
    assert refused.code == 1
    assert refused.json()["error"]["code"] == "api-unreachable"


@pytest.mark.slow
def test_a_wrong_key_is_refused_and_never_shown(platform: PlatformUnderTest, project: Path) -> None:
    make_project(project, "wrongkey")
    key = "99999999-9999-4999-8999-999999999999"
    refused = Command({**platform.environment, "SCW_SECRET_KEY": key})("deploy", "--json", "-v")
    assert refused.code == 1
    assert refused.json()["error"]["code"] == "authentication"
    assert "SCW_SECRET_KEY" in refused.json()["error"]["hint"]
    assert key not in refused.stdout + refused.stderr


@pytest.mark.slow
def test_a_proxy_in_the_environment_does_not_stand_before_this_machine(
    platform: PlatformUnderTest, project: Path
) -> None:
    make_project(project, "proxied")
    fnkit = platform.command
    nowhere = f"http://127.0.0.1:{free_port()}"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "ALL_PROXY"), nowhere)
    Command({**fnkit.environment, **proxies})("deploy", "--local").ok()
    fnkit("destroy", "--local", "--yes").ok()


@pytest.mark.slow
def test_a_missing_secret_is_named_and_its_value_never_shown(platform: PlatformUnderTest, project: Path) -> None:
    source = HELLO.replace("@function\n", "@function(secrets=['DATABASE_URL', 'PRESENT'])\n")
    make_project(project, "secretive", source)
    (project / ".env").write_text("PRESENT=postgres://user:hunter2@host/db\n")
    refused = platform.command("deploy", "--local", "--json")
    assert refused.code == 2
    (problem,) = refused.json()["problems"]
    assert "DATABASE_URL" in problem["message"]
    deployed = platform.command("deploy", "--local", "-vv", DATABASE_URL="postgres://user:hunter3@host/db").ok()
    planned = platform.command("plan", "--local", "--json", DATABASE_URL="postgres://user:hunter4@host/db").ok()
    everything = deployed.stdout + deployed.stderr + planned.stdout + planned.stderr
    assert "hunter" not in everything
    assert ["secret DATABASE_URL changed"] in [change["reasons"] for change in planned.json()["changes"]]
    for file in platform.home.rglob("*"):
        if file.is_file():
            assert b"hunter" not in file.read_bytes(), f"a secret lies in clear in {file.name}"
    platform.command("destroy", "--local", "--yes").ok()


def test_a_broken_plan_file_is_refused(fnkit: Command, project: Path) -> None:
    make_project(project, "planless")
    (project / "plan.json").write_text(json.dumps({"changes": 3}))
    refused = fnkit("deploy", "--json", "--plan", "plan.json")
    assert refused.code == 2
    assert refused.json()["error"]["code"] == "not-a-plan"
