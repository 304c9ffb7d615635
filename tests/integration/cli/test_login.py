"""``fnkit login``: credentials are verified, saved for their owner alone, and never shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from tests.support.command import Command
from tests.support.platform import PlatformUnderTest
from tests.support.terminal import terminal

PROJECT_ID = "11111111-2222-3333-4444-555555555555"
SECRET = "99999999-8888-7777-6666-555555555555"
COMMENTED = """\
# Scaleway configuration
access_key: SCWOLD00000000000000
secret_key: old   # rotate in May
default_project_id: 00000000-0000-0000-0000-000000000000

active_profile: work
profiles:
  # the team's
  work:
    secret_key: "work key"
    send_telemetry: false
"""


@pytest.fixture
def config(own_home: Path) -> Path:
    return own_home / ".config" / "scw" / "config.yaml"


def write(config: Path, text: str) -> None:
    config.parent.mkdir(parents=True)
    config.write_text(text, encoding="utf-8")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.slow
def test_credentials_of_a_platform_are_verified_saved_and_used(
    platform: PlatformUnderTest, project: Path, config: Path
) -> None:
    fnkit = Command()
    variables = platform.command("platform", "env", "--format", "dotenv").ok().stdout
    done = fnkit("login", "-v", stdin=variables).ok()
    assert platform.secret_key not in done.stdout + done.stderr
    assert f"{platform.api_url} accepts them" in done.stdout
    assert (mode(config), mode(config.parent)) == (0o600, 0o700)
    (project / "fnkit.toml").write_text('name = "login"\n', encoding="utf-8")
    assert fnkit("status", "--json", cwd=project).ok().json()["functions"] == []


@pytest.mark.slow
def test_key_that_the_api_refuses_is_not_saved(platform: PlatformUnderTest, config: Path) -> None:
    refused = Command()("login", "--project-id", PROJECT_ID, "--api-url", platform.api_url, stdin=SECRET)
    assert refused.code == 1
    assert refused.stderr.startswith("error[authentication]:")
    assert "Nothing was saved" in refused.stderr
    assert SECRET not in refused.stderr
    assert not config.exists()


def test_unreachable_api_saves_nothing_unless_told(fnkit: Command, config: Path) -> None:
    arguments = ("login", "--project-id", PROJECT_ID, "--api-url", "http://127.0.0.1:1")
    assert fnkit(*arguments, stdin=SECRET).code == 1
    assert not config.exists()
    assert fnkit(*arguments, "--no-verify", "--json", stdin=f"{SECRET}\n").ok().json() == {
        "path": str(config),
        "profile": "default",
        "project_id": PROJECT_ID,
        "region": "fr-par",
        "api_url": "http://127.0.0.1:1",
        "verified": False,
    }
    assert yaml.safe_load(config.read_text()) == {
        "secret_key": SECRET,
        "default_project_id": PROJECT_ID,
        "api_url": "http://127.0.0.1:1",
    }


def login(fnkit: Command, *arguments: str) -> None:
    lines = f"SCW_SECRET_KEY={SECRET}\nSCW_DEFAULT_PROJECT_ID={PROJECT_ID}\n"
    fnkit("login", "--no-verify", "--yes", *arguments, stdin=lines).ok()


def test_active_profile_is_edited_and_everything_else_stays(fnkit: Command, config: Path) -> None:
    write(config, COMMENTED)
    login(fnkit)
    text = config.read_text()
    changed = COMMENTED.replace('    secret_key: "work key"\n', f"    secret_key: {SECRET}\n").replace(
        "  work:\n", f"  work:\n    default_project_id: {PROJECT_ID}\n"
    )
    assert text == changed
    assert mode(config) == 0o600


def test_top_level_and_new_profiles_are_edited_in_place(fnkit: Command, config: Path) -> None:
    write(config, COMMENTED)
    login(fnkit, "--profile", "default")
    login(fnkit, "--profile", "home")
    text = config.read_text()
    assert "# Scaleway configuration" in text
    assert "# rotate in May" in text
    assert "# the team's" in text
    expected = yaml.safe_load(COMMENTED)
    expected |= {"secret_key": SECRET, "default_project_id": PROJECT_ID}
    expected["profiles"]["home"] = {"secret_key": SECRET, "default_project_id": PROJECT_ID}
    assert yaml.safe_load(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{secret_key: old, profiles: {work: {secret_key: x}}}",
        "a: &a {secret_key: old}\nprofiles:\n  work: *a\n",
        "profiles: {}\n",
        "profiles:\n",
        "secret_key:\n",
        "---\nsecret_key: old\n...\n",
        "# only a comment\n",
        "",
    ],
)
@pytest.mark.parametrize("profile", ["default", "work", "odd: name"])
def test_any_valid_file_keeps_its_other_settings(fnkit: Command, config: Path, text: str, profile: str) -> None:
    write(config, text)
    login(fnkit, "--profile", profile)
    expected = yaml.safe_load(text) or {}
    given = {"secret_key": SECRET, "default_project_id": PROJECT_ID}
    if profile == "default":
        expected |= given
    else:
        profiles = dict(expected.get("profiles") or {})
        expected["profiles"] = {**profiles, profile: {**profiles.get(profile, {}), **given}}
    assert yaml.safe_load(config.read_text()) == expected


def test_credentials_are_not_replaced_without_a_yes(fnkit: Command, config: Path) -> None:
    write(config, COMMENTED)
    refused = fnkit("login", "--no-verify", "--project-id", PROJECT_ID, stdin=SECRET)
    assert (refused.code, refused.stderr.partition(":")[0]) == (2, "error[confirmation-needed]")
    assert config.read_text() == COMMENTED


@pytest.mark.parametrize(
    ("stdin", "code"),
    [
        ("", "no-credentials"),
        ("SCW_DEFAULT_REGION=fr-par", "no-credentials"),
        (SECRET, "no-project-id"),
        ("two words of text", "bad-credentials"),
        (f"SCW_SECRET_KEY={SECRET}\nSCW_DEFAULT_PROJECT_ID=x", "bad-project-id"),
        (
            f"SCW_SECRET_KEY={SECRET}\nSCW_DEFAULT_PROJECT_ID={PROJECT_ID}\nSCW_DEFAULT_REGION=mars",
            "unknown-region",
        ),
    ],
)
def test_incomplete_or_invalid_credentials_are_refused(fnkit: Command, config: Path, stdin: str, code: str) -> None:
    refused = fnkit("login", "--no-verify", stdin=stdin)
    assert (refused.code, refused.stderr.partition(":")[0]) == (2, f"error[{code}]")
    assert SECRET not in refused.stderr
    assert not config.exists()


def test_broken_file_is_left_as_it_is(fnkit: Command, config: Path) -> None:
    write(config, "secret_key: [\n")
    refused = fnkit("login", "--no-verify", "--project-id", PROJECT_ID, stdin=SECRET)
    assert (refused.code, "error[profile-unreadable]" in refused.stderr) == (2, True)
    assert config.read_text() == "secret_key: [\n"


def test_keys_are_asked_for_on_a_terminal_and_not_shown(project: Path, config: Path) -> None:
    with terminal("login", "--no-verify", directory=project) as session:
        session.wait_for("Access key")
        session.type("SCWXXXXXXXXXXXXXXXXX\n")
        session.wait_for("Secret key")
        session.type(f"{SECRET}\n")
        session.wait_for("Project ID")
        session.type(f"{PROJECT_ID}\n")
        session.wait_for("Region")
        session.type("nl-ams\n")
        assert session.wait() == 0
    assert SECRET not in session.shown
    assert yaml.safe_load(config.read_text()) == {
        "access_key": "SCWXXXXXXXXXXXXXXXXX",
        "secret_key": SECRET,
        "default_project_id": PROJECT_ID,
        "default_region": "nl-ams",
    }


def test_variable_that_has_precedence_is_named(fnkit: Command) -> None:
    done = fnkit("login", "--no-verify", "--project-id", PROJECT_ID, stdin=SECRET, SCW_SECRET_KEY="another").ok()
    assert "SCW_SECRET_KEY is set in the environment" in done.stderr
