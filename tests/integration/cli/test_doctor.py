"""``fnkit doctor``: what a project needs of this machine, its secrets, and its platforms."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fnkit.cli.checks.services import check_clock
from tests.support.command import Command, Completed
from tests.support.platform import PlatformUnderTest
from tests.support.project_tree import write_files

PROJECT = {
    "fnkit.toml": 'name = "doctored"\n[defaults]\nruntime = "python313"\n',
    "main.py": "from fnkit import function\n\n@function(secrets=['KEY'])\ndef hello(event, context):\n    ...\n",
}
INVALID = "from fnkit import function\n\n@function(memory=1)\ndef hello(event, context):\n    ...\n"
CREDENTIALS = {
    "SCW_SECRET_KEY": "99999999-8888-7777-6666-555555555555",
    "SCW_DEFAULT_PROJECT_ID": "11111111-2222-3333-4444-555555555555",
}


def checks(done: Completed) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in done.json()["checks"]}


def test_healthy_machine_without_a_project_passes(fnkit: Command, project: Path) -> None:
    done = fnkit("doctor", "--json", cwd=project).ok()
    found = checks(done)
    assert {"fnkit", "system", "uv", "cache", "project", "data", "local platform", "credentials"} <= set(found)
    assert (found["uv"]["ok"], found["uv"]["hint"]) == (True, None)
    assert (found["project"]["ok"], found["project"]["needed"]) == (False, False)
    assert "fnkit init" in found["project"]["hint"]
    assert "Only deploys to Scaleway need them" in found["credentials"]["hint"]


def test_missing_secret_and_invalid_code_fail(fnkit: Command, project: Path) -> None:
    write_files(project, PROJECT)
    done = fnkit("doctor", "--json")
    assert done.code == 1
    assert checks(done)["secrets"] == {
        "name": "secrets",
        "ok": False,
        "detail": "no value for KEY",
        "hint": "`fnkit secret set KEY` asks for it.",
        "needed": True,
    }
    found = checks(fnkit("doctor", "--json", KEY="x").ok())
    assert found["secrets"]["ok"]
    assert found["project"]["detail"].startswith("doctored, 1 function (")
    assert found["python313"]["detail"].startswith("run by 3.")
    write_files(project, {"main.py": INVALID})
    broken = fnkit("doctor")
    assert broken.code == 1
    assert "failed   project " in broken.stdout
    assert "`fnkit scan` shows all problems." in broken.stdout


def test_missing_toolchain_fails_with_how_to_install_it(fnkit: Command, project: Path) -> None:
    settings = 'name = "rusty"\n[[function]]\nname = "hello"\nruntime = "rust196"\nhandler = "handle"\n'
    cargo = '[package]\nname = "rusty"\nversion = "0.1.0"\nedition = "2024"\n[dependencies]\naxum = "0.8"\n'
    lib = 'pub async fn handle() -> &\'static str {\n    ""\n}\n'
    write_files(project, {"fnkit.toml": settings, "Cargo.toml": cargo, "src/lib.rs": lib})
    empty = project.parent / "bin"
    empty.mkdir()
    done = fnkit(
        *("doctor", "--json"),
        PATH=str(empty),
        CARGO_HOME=str(empty),
        RUSTUP_HOME=str(empty),
        FNKIT_CACHE=str(empty),
    )
    found = checks(done)
    assert done.code == 1
    assert (found["rust196"]["ok"], found["rust196"]["needed"]) == (False, True)
    assert "Install it" in found["rust196"]["hint"]


@pytest.mark.slow
def test_platform_is_checked_with_its_isolation_and_api(platform: PlatformUnderTest, project: Path) -> None:
    write_files(project, PROJECT)
    local = checks(platform.command("doctor", "--local", "--json", KEY="x").ok())
    assert local["local platform"]["detail"] == f"running, API at {platform.api_url}"
    assert local["isolation"]["detail"].startswith("level ")
    assert "API" not in local
    remote = Command({**platform.environment, "KEY": "x"})("doctor", "--json").ok()
    found = checks(remote)
    assert found["API"]["detail"].startswith(f"{platform.api_url} accepts the key")
    assert found["credentials"]["detail"].startswith("from SCW_SECRET_KEY, for project ")
    assert found["clock"] == {**found["clock"], "ok": True, "detail": "agrees with the API's"}
    assert platform.secret_key not in remote.stdout


@pytest.mark.slow
def test_refused_key_fails(platform: PlatformUnderTest, project: Path) -> None:
    done = Command({**CREDENTIALS, "SCW_API_URL": platform.api_url})("doctor", cwd=project)
    assert done.code == 1
    assert "failed   API " in done.stdout
    assert CREDENTIALS["SCW_SECRET_KEY"] not in done.stdout + done.stderr


def test_unreachable_api_fails(project: Path) -> None:
    done = Command({**CREDENTIALS, "SCW_API_URL": "http://127.0.0.1:1"})("doctor", "--json", cwd=project)
    assert done.code == 1
    assert (checks(done)["API"]["ok"], checks(done)["API"]["needed"]) == (False, True)


@pytest.mark.parametrize(
    ("difference", "detail"),
    [
        (0, "agrees with the API's"),
        (119, "agrees with the API's"),
        (3600, "3600 s ahead of the API's"),
        (-300, "300 s behind the API's"),
    ],
)
def test_clock_is_compared_with_the_date_of_a_response(difference: float, detail: str) -> None:
    (found,) = check_clock("Mon, 01 Jan 2001 00:00:00 GMT", 978307200 + difference)
    assert (found.detail, found.ok, found.is_needed) == (detail, abs(difference) < 120, False)


def test_response_without_a_date_says_nothing_of_the_clock() -> None:
    assert list(check_clock("", 0)) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_cache_that_cannot_be_written_fails(fnkit: Command, project: Path) -> None:
    cache = project / "cache"
    cache.mkdir(mode=0o500)
    done = fnkit("doctor", "--json", FNKIT_CACHE=str(cache))
    assert (done.code, checks(done)["cache"]["ok"]) == (1, False)


def test_cache_that_is_a_file_fails(fnkit: Command, project: Path) -> None:
    (project / "cache").write_text("")
    done = fnkit("doctor", "--json", FNKIT_CACHE=str(project / "cache"))
    assert (done.code, checks(done)["cache"]["ok"]) == (1, False)
