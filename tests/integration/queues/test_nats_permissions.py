"""NATS users with restricted permissions: their triggers work without a permission or report that it is missing."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from fnkit.platform.supervisor.nats_server import find_nats_server
from tests.support.ports import free_port, is_listening
from tests.support.queue_platform import QueuePlatform, connected_client, queue_platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

USERS = {
    "admin": {},
    "without-jetstream": {"publish": {"deny": ["$JS.>"]}},
    "without-inbox": {"subscribe": {"deny": ["_INBOX.>"]}},
    "without-create": {"publish": {"deny": ["$JS.API.CONSUMER.DURABLE.CREATE.>", "$JS.API.CONSUMER.CREATE.>"]}},
    "without-pull": {"publish": {"deny": ["$JS.API.CONSUMER.MSG.NEXT.>"]}},
}


def account(user: str) -> str:
    return user.upper().replace("-", "").ljust(56, "A")


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run a broker with all the users; yields its host and port."""
    folder, port = tmp_path_factory.mktemp("permissions"), free_port()
    users = [
        {"user": name, "password": "secret", "permissions": permissions} for name, permissions in USERS.items()
    ]
    settings = {
        "listen": f"127.0.0.1:{port}",
        "jetstream": {"store_dir": str(folder / "store")},
        "authorization": {"users": users},
    }
    file = folder / "nats.conf"
    file.write_text(json.dumps(settings))
    program = find_nats_server()
    assert program is not None
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([program, "-c", file], stdout=log, stderr=log)
    try:
        wait_until(lambda: is_listening("127.0.0.1", port))
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def platform(broker: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueuePlatform]:
    folder: Path = tmp_path_factory.mktemp("permissions-platform")
    file = folder / "brokers.toml"
    file.write_text(
        "".join(
            f'[[nats]]\naccount = "{account(user)}"\nurl = "nats://{broker}"\nuser = "{user}"\n'
            'password = "secret"\n'
            for user in USERS
        )
    )
    file.chmod(0o600)
    with queue_platform(folder, "--brokers", str(file)) as running:
        yield running


def test_missing_permission_is_worked_around_or_reported(platform: QueuePlatform, broker: str) -> None:
    function = platform.deploy()

    async def scenario() -> dict[str, str]:
        async with connected_client(f"nats://admin:secret@{broker}") as (client, stream):
            await stream.add_stream(name="PERMITS", subjects=["permits.>"])
            triggers = {
                user: platform.create_trigger(function, f"permits.{user}", mnq_nats_account_id=account(user))
                for user in USERS
            }
            for user in ("without-create", "without-pull"):
                wait_until(partial(error_of, platform, triggers[user]), what=user)
            for user in ("admin", "without-jetstream", "without-inbox"):
                wait_until(partial(platform.is_listening, triggers[user]), what=user)
                await client.publish(f"permits.{user}", user.encode())
            await client.flush()
            await asyncio.to_thread(platform.wait_for_messages, function, 3)
            return triggers

    triggers = asyncio.run(scenario())
    assert sorted(platform.handled_bodies(function)) == ["admin", "without-inbox", "without-jetstream"]
    for user, subject in (("without-create", "durable.create"), ("without-pull", "msg.next")):
        error = (
            f"the NATS broker nats://{broker} does not permit this operation with the user and password: "
            f'permissions violation for publish to "$js.api.consumer.{subject}.permits.fnkit-{triggers[user]}"'
        )
        wait_until(lambda trigger=triggers[user], error=error: error_of(platform, trigger) == error, what=error)  # type: ignore[misc]  # mypy infers no type for lambdas with defaults
    assert "stream PERMITS: each message is delivered at least once" in platform.log
    for user in ("without-jetstream", "without-inbox"):
        assert f"no stream covers permits.{user}: each message is delivered at most once" in platform.log


def error_of(platform: QueuePlatform, trigger: str) -> object:
    return platform.api.get("triggers", trigger)["error_message"]
