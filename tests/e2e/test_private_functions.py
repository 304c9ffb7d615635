"""Private functions on a real platform: tokens and keys across restarts, their expiry, and a kill of control."""

from __future__ import annotations

import os
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.control_process import API, ControlProcess, api_client, zip_archive
from tests.support.platform import PlatformUnderTest, call_function, running_platform
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.long]


def deploy_private_function(platform: PlatformUnderTest) -> dict[str, object]:
    api = api_client(platform)
    function = api.create_function(api.create_namespace("private")["id"], privacy="private")
    return api.deploy(function["id"], zip_archive())


def create_token(api: ControlProcess, **body: object) -> str:
    return str(api.request("POST", f"{API}/tokens", body).ok()["token"])


def status(platform: PlatformUnderTest, function: dict[str, object], credential: str) -> int:
    return call_function(platform, str(function["domain_name"]), headers={"X-Auth-Token": credential}).status


@pytest.mark.long
def test_tokens_and_api_keys_grant_access_across_restarts(tmp_path: Path) -> None:
    with running_platform(tmp_path / "home") as first:
        function = deploy_private_function(first)
        api = api_client(first)
        read_only_key = first.command("platform", "api-key", "create", "--read-only", "--json").ok().json()
        other_project_key = first.command(
            *("platform", "api-key", "create", "--json", "--project-id", "33333333-3333-3333-3333-333333333333")
        ).ok()
        accepted = [
            create_token(api, function_id=function["id"]),
            create_token(api, namespace_id=function["namespace_id"]),
            str(read_only_key["secret_key"]),
            first.secret_key,
        ]
        rejected = ["", "nope", str(other_project_key.json()["secret_key"])]
        assert [status(first, function, one) for one in accepted] == [200] * 4
        assert [status(first, function, one) for one in rejected] == [403] * 3
    with running_platform(tmp_path / "home") as second:
        assert [status(second, function, one) for one in accepted] == [200] * 4
        assert [status(second, function, one) for one in rejected] == [403] * 3
        second.command("platform", "api-key", "delete", str(read_only_key["access_key"])).ok()
        assert [status(second, function, one) for one in accepted] == [200, 200, 403, 200]
    contents = [file.read_bytes() for file in (tmp_path / "home").rglob("*") if file.is_file()]
    assert not any(one.encode() in content for one in accepted[:3] for content in contents)


@pytest.mark.long
def test_token_survives_a_kill_of_control_after_its_creation(tmp_path: Path) -> None:
    with running_platform(tmp_path / "home") as platform:
        function = deploy_private_function(platform)
        api = api_client(platform)
        token = create_token(api, function_id=function["id"])
        processes = platform.command("platform", "status", "--json").ok().json()["processes"]
        assert isinstance(processes, dict)
        os.kill(int(processes["control"]), signal.SIGKILL)

        assert status(platform, function, token) == 200
        wait_until(lambda: _is_healthy(api))
        assert status(platform, function, token) == 200
        assert api.request("GET", f"{API}/tokens", query={"function_id": function["id"]}).ok()["total_count"] == 1


def test_token_expires_by_the_platform_clock(tmp_path: Path) -> None:
    with running_platform(tmp_path / "home", "--manual-clock") as platform:
        function = deploy_private_function(platform)
        api = api_client(platform)
        now = float(str(api.request("POST", "/fnkit/v1/clock", {"advance": 0}).ok()["now"]))
        ends = datetime.fromtimestamp(now, UTC) + timedelta(hours=1)
        token = create_token(api, function_id=function["id"], expires_at=ends.isoformat())
        expired = create_token(api, function_id=function["id"], expires_at="2020-01-01T00:00:00Z")

        assert (status(platform, function, token), status(platform, function, expired)) == (200, 403)
        platform.advance(3599)
        assert status(platform, function, token) == 200
        platform.advance(2)
        assert status(platform, function, token) == 403


def _is_healthy(api: ControlProcess) -> bool:
    try:
        return api.request("GET", "/healthz").status == 200
    except OSError:
        return False
