"""``fnkit open``, ``token`` and ``domain`` on a real platform."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.command import Completed
from tests.support.platform import PlatformUnderTest, call_function, running_platform
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

PROJECT = """\
from fnkit import function


@function(privacy="private")
def ledger(event, context):
    return "ledger"


@function(domains=["declared.example.com"])
def greeting(event, context):
    return "hello"
"""


@dataclass(frozen=True, slots=True)
class Shop:
    """A deployed project with a private and a public function."""

    platform: PlatformUnderTest
    directory: Path
    domains: dict[str, str]

    def __call__(self, *arguments: str, browser: str | None = None) -> Completed:
        return self.platform.command(*arguments, cwd=self.directory, FNKIT_LOCAL="1", BROWSER=browser)

    def status(self, function: str, token: str) -> int:
        return call_function(self.platform, self.domains[function], headers={"X-Auth-Token": token}).status


def deploy(platform: PlatformUnderTest, directory: Path, name: str) -> Shop:
    (directory / "fnkit.toml").write_text(f'name = "{name}"\n', encoding="utf-8")
    (directory / "main.py").write_text(PROJECT.replace("declared.", f"{name}."), encoding="utf-8")
    deployed = platform.command("deploy", "--json", cwd=directory, FNKIT_LOCAL="1").ok().json()
    return Shop(platform, directory, {one["name"]: one["domain"] for one in deployed["functions"]})


@pytest.fixture(scope="module")
def shop(platform: PlatformUnderTest, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return deploy(platform, tmp_path_factory.mktemp("shop"), "access")


def test_token_opens_its_function_until_it_is_deleted(shop: Shop) -> None:
    created = shop("token", "create", "ledger", "--description", "cashier").ok()
    token = created.stdout.strip()
    assert token.count(".") == 2
    assert token not in created.stderr
    assert shop.status("ledger", token) == 200
    assert shop.status("ledger", "") == 403

    listed = shop("token", "list").ok()
    assert token not in listed.stdout
    (found,) = [
        one for one in shop("token", "list", "--json").ok().json()["tokens"] if one["description"] == "cashier"
    ]
    assert (found["function"], found["namespace"], found["expires_at"]) == ("ledger", "access", None)
    assert found["id"] in listed.stdout

    deleted = shop("token", "delete", found["id"][:8]).ok()
    assert deleted.stdout == f"Deleted token {found['id']}: it no longer opens ledger.\n"
    wait_until(lambda: shop.status("ledger", token) == 403)
    again = shop("token", "delete", found["id"])
    assert (again.code, again.stderr.partition(":")[0]) == (1, "error[no-such-token]")


def test_token_of_the_namespace_opens_every_function(shop: Shop) -> None:
    created = shop("token", "create", "--expires", "30d", "--json").ok().json()
    assert set(created) == {"id", "token", "function", "namespace", "description", "status", "expires_at"}
    assert (created["function"], created["namespace"]) == (None, "access")
    assert created["expires_at"].endswith("Z")
    assert shop.status("ledger", created["token"]) == 200
    shop("token", "delete", created["id"]).ok()


@pytest.mark.parametrize("when", ["yesterday", "2001-01-31", "0s", "99999d9"])
def test_expiry_that_is_no_future_time_is_refused(shop: Shop, when: str) -> None:
    refused = shop("token", "create", "ledger", "--expires", when)
    assert refused.code == 2
    assert refused.stderr.startswith("error[usage]: Invalid value for '--expires'")


def test_token_of_a_public_function_warns(shop: Shop) -> None:
    created = shop("token", "create", "greeting", "--expires", "1h", "--json").ok()
    assert "warning: greeting is public" in created.stderr
    shop("token", "delete", created.json()["id"]).ok()


def test_token_of_another_project_is_not_deleted(
    shop: Shop, platform: PlatformUnderTest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = deploy(platform, tmp_path_factory.mktemp("other"), "other-access")
    created = other("token", "create", "ledger", "--json").ok().json()
    refused = shop("token", "delete", created["id"])
    assert refused.code == 1
    assert "error[no-such-token]" in refused.stderr
    assert other.status("ledger", created["token"]) == 200
    other("destroy", "--yes").ok()


def test_url_is_printed_and_opened(shop: Shop, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n', encoding="utf-8")
    browser.chmod(stat.S_IRWXU)
    url = shop("open", "greeting", "--print").ok().stdout.strip()
    assert url == next(
        one["url"] for one in shop("status", "--json").ok().json()["functions"] if one["name"] == "greeting"
    )
    assert not (tmp_path / "opened").exists()
    opened = shop("open", "--json", browser=f"{browser} %s").ok()
    assert opened.json() == {"name": "greeting", "url": url, "opened": True}
    assert (tmp_path / "opened").read_text().strip() == url


def test_url_of_a_private_function_warns(shop: Shop) -> None:
    shown = shop("open", "ledger", "--print").ok()
    assert "fnkit token create ledger" in shown.stderr


def test_domain_is_added_listed_and_removed(shop: Shop) -> None:
    added = shop("domain", "add", "Books.Example.com", "greeting", "--json").ok().json()
    assert (added["hostname"], added["function"], added["status"]) == ("books.example.com", "greeting", "ready")
    assert added["cname"] == shop.domains["greeting"]
    assert call_function(shop.platform, "books.example.com").body == b"hello"
    listed = shop("domain", "list", "--json").ok().json()["domains"]
    assert [one["hostname"] for one in listed] == ["access.example.com", "books.example.com"]
    assert "books.example.com" in shop("domain", "list").ok().stdout
    assert shop("plan", "--exit-code").code == 0  # what the code does not declare is left alone
    assert shop("domain", "remove", "books.example.com").ok().stdout == "Removed books.example.com from greeting.\n"
    wait_until(lambda: call_function(shop.platform, "books.example.com").status == 404)
    again = shop("domain", "remove", "books.example.com")
    assert "error[no-such-domain]" in again.stderr
    assert "access.example.com" in again.stderr


def test_hostname_is_checked_before_any_request(shop: Shop) -> None:
    refused = shop("domain", "add", "https://books.example.com/", "greeting")
    assert refused.code == 2
    assert "is not a hostname" in refused.stderr


@pytest.fixture(scope="module")
def verifying_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    with running_platform(tmp_path_factory.mktemp("verify"), "--verify-domains", "--clock-speed", "60") as running:
        yield running


def test_domain_without_its_dns_record_says_which_it_needs(
    verifying_platform: PlatformUnderTest, tmp_path: Path
) -> None:
    (tmp_path / "fnkit.toml").write_text('name = "names"\n', encoding="utf-8")
    (tmp_path / "main.py").write_text(PROJECT.replace('domains=["declared.example.com"]', ""), encoding="utf-8")
    fnkit = verifying_platform.command
    fnkit("deploy", "--local", cwd=tmp_path).ok()
    failed = fnkit("domain", "add", "books.invalid", "greeting", "--local", cwd=tmp_path)
    assert failed.code == 1
    assert failed.stderr.startswith("error[domain-not-ready]: The domain books.invalid of greeting is not ready")
    assert "books.invalid CNAME " in failed.stderr
    listed = fnkit("domain", "list", "--local", cwd=tmp_path)
    assert listed.code == 1
    assert "check that the domain correctly points to" in listed.stdout


def test_commands_need_a_deployed_project(platform: PlatformUnderTest, tmp_path: Path) -> None:
    (tmp_path / "fnkit.toml").write_text('name = "nowhere"\n', encoding="utf-8")
    for arguments in (("open",), ("token", "list"), ("domain", "list")):
        refused = platform.command(*arguments, "--local", cwd=tmp_path)
        assert refused.code == 1
        assert refused.stderr.startswith("error[not-deployed]: There is no namespace nowhere")


def test_local_in_the_environment_excludes_what_local_excludes(shop: Shop) -> None:
    refused = shop("token", "list", "--api-url", "http://127.0.0.1:1")
    assert refused.code == 2
    assert "FNKIT_LOCAL=0 disables it" in refused.stderr
