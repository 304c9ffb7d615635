"""``fnkit secret``: names and origins of secrets; values are read, written and never shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.platform import PlatformUnderTest, call_function
from tests.support.terminal import terminal

PROJECT = """\
import os

from fnkit import function


@function(secrets=["DATABASE_URL", "API_KEY"])
def orders(event, context):
    return os.environ["DATABASE_URL"]
"""
VALUE = "postgres://me:it's $ecret@db/shop"


@pytest.fixture
def shop(project: Path) -> Path:
    (project / "fnkit.toml").write_text('name = "secrets-shop"\n', encoding="utf-8")
    (project / "main.py").write_text(PROJECT, encoding="utf-8")
    return project


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_value_from_stdin_is_written_for_its_owner_alone(fnkit: Command, shop: Path) -> None:
    done = fnkit("secret", "set", "DATABASE_URL", "-v", stdin=f"{VALUE}\n").ok()
    assert VALUE not in done.stdout + done.stderr
    assert done.stdout == "Set DATABASE_URL in .env. The next `fnkit deploy` sends it.\n"
    assert mode(shop / ".env") == 0o600
    listed = fnkit("secret", "list", "--json", API_KEY="k").ok().json()["secrets"]
    known = {"functions": ["orders"], "declared": True, "deployed": None}
    assert listed == [
        {**known, "name": "DATABASE_URL", "origin": ".env"},
        {**known, "name": "API_KEY", "origin": "environment"},
    ]


def test_list_shows_where_values_come_from_and_fails_without_one(fnkit: Command, shop: Path) -> None:
    (shop / ".env").write_text(f"API_KEY={VALUE}\nOTHER=1\n", encoding="utf-8")
    done = fnkit("secret", "list")
    assert done.code == 1
    assert VALUE not in done.stdout
    rows = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert rows == [
        "SECRET VALUE FROM DECLARED BY",
        "DATABASE_URL no value orders",
        "API_KEY .env orders",
        "OTHER .env nothing",
    ]


def test_stage_has_its_own_file_which_has_precedence(fnkit: Command, shop: Path) -> None:
    fnkit("secret", "set", "API_KEY", stdin="plain").ok()
    fnkit("secret", "set", "API_KEY", "--stage", "prod", stdin="staged").ok()
    assert (shop / ".env").read_text() == "API_KEY=plain\n"
    assert (shop / ".env.prod").read_text() == "API_KEY=staged\n"
    origins = fnkit("secret", "list", "--stage", "prod", "--json").json()["secrets"]
    assert {one["name"]: one["origin"] for one in origins} == {"DATABASE_URL": None, "API_KEY": ".env.prod"}
    removed = fnkit("secret", "unset", "API_KEY", "--stage", "prod").ok()
    assert "still has a value, from .env." in removed.stderr
    assert (shop / ".env.prod").read_text() == ""


def test_other_lines_stay_and_an_open_file_is_closed_to_others(fnkit: Command, shop: Path) -> None:
    file = shop / ".env"
    file.write_text("# ours\nAPI_KEY=old # note\nOTHER='two\nlines'\n", encoding="utf-8")
    file.chmod(0o644)
    fnkit("secret", "set", "API_KEY", stdin="new value").ok()
    assert file.read_text() == "# ours\nAPI_KEY='new value'\nOTHER='two\nlines'\n"
    assert mode(file) == 0o600
    assert [one.name for one in shop.iterdir() if ".new" in one.name] == []


def test_missing_value_is_not_unset(fnkit: Command, shop: Path) -> None:
    refused = fnkit("secret", "unset", "API_KEY")
    assert (refused.code, refused.stderr.partition(":")[0]) == (1, "error[no-such-secret]")
    assert not (shop / ".env").exists()


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize(
    ("arguments", "stdin", "expected"),
    [
        (("API-KEY",), "x", "is not a name of letters"),
        (("PORT",), "x", "PORT is reserved"),
        (("API_KEY",), "", "No value of API_KEY was given"),
        (("API_KEY",), "a\0b", "contains a null character"),
        (("API_KEY",), "x" * 65537, "has more than 65536 bytes"),
    ],
    ids=["name", "reserved", "empty", "null", "long"],
)
def test_value_that_cannot_be_used_is_refused(
    fnkit: Command, arguments: tuple[str, ...], stdin: str, expected: str
) -> None:
    refused = fnkit("secret", "set", *arguments, stdin=stdin)
    assert refused.code == 2
    assert expected in refused.stderr


def test_broken_file_is_left_as_it_is(fnkit: Command, shop: Path) -> None:
    (shop / ".env").write_text("OK=1\nhunter2 is no assignment\n", encoding="utf-8")
    refused = fnkit("secret", "set", "API_KEY", stdin="x")
    assert refused.code == 2
    assert refused.stderr.startswith(
        "error[bad-dotenv]: .env cannot be read: expected NAME=value.\n  --> .env:2\n  hint: "
    )
    assert "hunter2" not in refused.stderr
    assert (shop / ".env").read_text() == "OK=1\nhunter2 is no assignment\n"


def test_link_out_of_the_project_is_not_followed(fnkit: Command, shop: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("A=1\n", encoding="utf-8")
    (shop / ".env").symlink_to(outside)
    assert "outside the project" in fnkit("secret", "set", "API_KEY", stdin="x").stderr
    assert outside.read_text() == "A=1\n"


def test_warnings_say_what_will_surprise(fnkit: Command, shop: Path) -> None:
    (shop / ".git").mkdir()
    shown = fnkit("secret", "set", "API_KEY", stdin="x", API_KEY="y").ok().stderr
    assert "git does not ignore .env" in shown
    assert "also set in the environment" in shown
    (shop / ".gitignore").write_text(".env\n.env.*\n", encoding="utf-8")
    shown = fnkit("secret", "set", "UNKNOWN", stdin="x").ok().stderr
    assert "git" not in shown
    assert 'Declare it with secrets=["UNKNOWN"]' in shown


def test_value_is_asked_for_on_a_terminal_and_not_shown(shop: Path) -> None:
    with terminal("secret", "set", "API_KEY", directory=shop) as session:
        session.wait_for("Value of API_KEY:")
        session.type(f"{VALUE}\n")
        assert session.wait() == 0
    assert VALUE not in session.shown
    assert (shop / ".env").read_text() == 'API_KEY="postgres://me:it\'s \\$ecret@db/shop"\n'


@pytest.mark.long
@pytest.mark.slow
def test_deploy_sends_the_value_and_list_shows_where(platform: PlatformUnderTest, shop: Path) -> None:
    fnkit = platform.command
    for name in ("DATABASE_URL", "API_KEY"):
        fnkit("secret", "set", name, stdin=VALUE).ok()
    (one,) = fnkit("deploy", "--local", "--json").ok().json()["functions"]
    assert call_function(platform, one["domain"]).body.decode() == VALUE
    (shop / "main.py").write_text(PROJECT.replace(', "API_KEY"', ""), encoding="utf-8")
    listed = fnkit("secret", "list", "--local", "--deployed", "--json").ok().json()["secrets"]
    assert {found["name"]: (found["declared"], found["deployed"]) for found in listed} == {
        "DATABASE_URL": (True, ["orders"]),
        "API_KEY": (False, ["orders"]),
    }
    assert "DEPLOYED IN" in fnkit("secret", "list", "--local", "--deployed").ok().stdout
    fnkit("destroy", "--local", "--yes").ok()
