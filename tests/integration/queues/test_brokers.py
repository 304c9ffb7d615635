"""Where triggers listen: brokers.toml, which is read again when it changes, and brokers that refuse, or go away."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.js import JetStreamContext

from tests.integration.queues.test_nats_triggers import drained
from tests.support.command import Command
from tests.support.control_process import API
from tests.support.queues import (
    ACCOUNT,
    TAKES_ALL,
    Broker,
    QueuePlatform,
    connected,
    queue_platform,
    running_broker,
)
from tests.support.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("brokers")


@pytest.fixture(scope="module")
def paris(folder: Path) -> Iterator[Broker]:
    with running_broker(folder / "paris") as broker:
        yield broker


@pytest.fixture(scope="module")
def amsterdam(folder: Path) -> Iterator[Broker]:
    with running_broker(folder / "amsterdam") as broker:
        yield broker


@pytest.fixture(scope="module")
def settings(folder: Path, paris: Broker, amsterdam: Broker) -> Path:
    file = folder / "brokers.toml"
    file.write_text(f'[[nats]]\nregion = "fr-par"\n{paris.entry}\n[[nats]]\nregion = "nl-ams"\n{amsterdam.entry}')
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def platform(folder: Path, settings: Path) -> Iterator[QueuePlatform]:
    with queue_platform(folder, "--brokers", str(settings)) as running:
        yield running


def error_of(platform: QueuePlatform, trigger: str) -> object:
    found = platform.api.get("triggers", trigger)
    return found["error_message"] if found["status"] == "error" else None


async def consumers(stream: JetStreamContext, name: str) -> list[str]:
    return [str(one.name) for one in await stream.consumers_info(name)]


def test_configured_broker_replaces_bundled_nats_server(platform: QueuePlatform) -> None:
    assert platform.url == ""
    assert platform.processes()["nats"] == 0


def test_trigger_uses_broker_of_its_region(platform: QueuePlatform, paris: Broker, amsterdam: Broker) -> None:
    function = platform.deploy()
    platform.trigger(function, "two.regions", mnq_region="fr-par")
    platform.trigger(function, "two.regions", mnq_region="nl-ams")

    async def scenario() -> None:
        for broker, body in ((paris, b"from paris"), (amsterdam, b"from amsterdam")):
            async with connected(broker.url) as (client, _):
                await client.publish("two.regions", body)
                await client.flush()

    asyncio.run(scenario())
    assert sorted(platform.wait_for(function, 2)) == ["from amsterdam", "from paris"]


def test_trigger_is_ready_and_idle_when_its_region_has_no_broker(platform: QueuePlatform) -> None:
    trigger = platform.unheard_trigger(platform.undeployed(), "idle", mnq_region="pl-waw")

    wait_until(lambda: f"{trigger} (idle) is idle: no NATS broker" in platform.log, DEADLINE)
    assert platform.api.get("triggers", trigger)["status"] == "ready"
    assert f"account {ACCOUNT}" in platform.log


def test_rejected_credentials_error_clears_when_file_is_corrected(
    platform: QueuePlatform, settings: Path, paris: Broker
) -> None:
    function, right = platform.deploy(), settings.read_text()
    trigger = platform.trigger(function, "healing")
    settings.write_text(right.replace('password = "right"', 'password = "wrong and secret"', 1))
    wait_until(lambda: error_of(platform, trigger), DEADLINE)

    assert error_of(platform, trigger) == (
        f"the NATS broker nats://127.0.0.1:{paris.port} rejects the user and password in brokers.toml: "
        "Authorization Violation"
    )
    settings.write_text(right)
    wait_until(lambda: platform.api.get("triggers", trigger)["status"] == "ready", DEADLINE)
    assert platform.api.get("triggers", trigger)["error_message"] is None
    assert "wrong and secret" not in platform.log

    async def scenario() -> None:
        async with connected(paris.url) as (client, _):
            await client.publish("healing", b"well again")
            await client.flush()

    wait_until(lambda: platform.listens(trigger), DEADLINE)
    asyncio.run(scenario())
    assert platform.wait_for(function, 1) == ["well again"]


def test_invalid_brokers_file_keeps_triggers_and_logs_all_problems(platform: QueuePlatform, settings: Path) -> None:
    function, right = platform.deploy(), settings.read_text()
    trigger = platform.trigger(function, "steady")
    settings.write_text(right + '\n[[nats]]\nurl = "nowhere"\ncolour = "red"\n')
    wait_until(lambda: "[broker-unknown-key]" in platform.log and "[broker-invalid]" in platform.log, DEADLINE)

    settings.write_text(right)
    assert platform.api.get("triggers", trigger)["status"] == "ready"
    line = right.count("\n") + 4
    assert f"{settings}:{line}: colour is not a known setting. [broker-unknown-key]" in platform.log


def test_consumer_of_deleted_trigger_is_removed_after_broker_restart(
    platform: QueuePlatform, amsterdam: Broker
) -> None:
    function = platform.deploy()

    async def begin() -> str:
        async with connected(amsterdam.url) as (_, stream):
            await stream.add_stream(name="AWAY", subjects=["away"])
            trigger = await asyncio.to_thread(lambda: platform.trigger(function, "away", mnq_region="nl-ams"))
            assert await consumers(stream, "AWAY") == [f"fnkit-{trigger}"]
            return trigger

    async def end() -> None:
        async with connected(amsterdam.url) as (client, stream):
            while await consumers(stream, "AWAY"):
                await client.flush()

    trigger = asyncio.run(begin())
    amsterdam.kill()
    platform.api.request("DELETE", f"{API}/triggers/{trigger}").ok()
    platform.api.wait_gone("triggers", trigger)
    amsterdam.start()
    asyncio.run(asyncio.wait_for(end(), DEADLINE))


def test_consumer_resumes_at_its_position_after_broker_restart(platform: QueuePlatform, paris: Broker) -> None:
    function = platform.deploy()

    async def before() -> None:
        async with connected(paris.url) as (_, stream):
            await stream.add_stream(name="RESTARTS", subjects=["restarts"])
            trigger = await asyncio.to_thread(platform.trigger, function, "restarts")
            await stream.publish("restarts", b"before")
            await asyncio.to_thread(platform.wait_for, function, 1)
            await drained(stream, "RESTARTS", trigger)  # what is handled is acknowledged a little later

    async def after() -> None:
        async with connected(paris.url) as (_, stream):
            await stream.publish("restarts", b"after")

    asyncio.run(asyncio.wait_for(before(), DEADLINE))
    paris.stop()
    paris.start()
    asyncio.run(after())
    assert platform.wait_for(function, 2) == ["before", "after"]


def test_broker_outage_sets_error_and_loses_no_stored_messages(platform: QueuePlatform, amsterdam: Broker) -> None:
    function = platform.undeployed()

    async def begin() -> str:
        async with connected(amsterdam.url) as (_, stream):
            await stream.add_stream(name="STAYS", subjects=["stays.>"])
            trigger = await asyncio.to_thread(lambda: platform.trigger(function, "stays.*", mnq_region="nl-ams"))
            for number in range(10):
                await stream.publish("stays.away", b"%d" % number)
            return trigger

    trigger = asyncio.run(begin())
    amsterdam.kill()
    wait_until(lambda: error_of(platform, trigger), DEADLINE)
    assert error_of(platform, trigger) == (
        f"the NATS broker nats://127.0.0.1:{amsterdam.port} cannot be reached: Connection refused"
    )
    platform.redeploy(function, TAKES_ALL)
    amsterdam.start()
    assert sorted(platform.wait_for(function, 10)) == [str(number) for number in range(10)]
    wait_until(lambda: platform.api.get("triggers", trigger)["status"] == "ready", DEADLINE)


def test_startup_error_lists_all_brokers_file_problems_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "brokers.toml"
    file.write_text(
        '[[nats]]\nurl = "nats://h:1"\nuser = "me"\npassword = "hunter2"\ntoken = "hunter3"\n'
        '[[sqs]]\nendpoint = "ftp://x"\naccess_key = "${NOT_SET_ANYWHERE}"\n'
    )
    fnkit = Command({"FNKIT_HOME": str(tmp_path / "home"), "NOT_SET_ANYWHERE": None})
    refused = fnkit("platform", "start", "--detach", "--brokers", str(file), "--json")

    assert refused.code == 1
    assert [(one["line"], one["code"]) for one in refused.json()["problems"]] == [
        (5, "broker-invalid"),
        (8, "broker-variable"),
        (7, "broker-invalid"),
        (6, "broker-missing"),
    ]
    assert "hunter" not in refused.stdout + refused.stderr


def test_status_shows_trigger_states_without_passwords(platform: QueuePlatform) -> None:
    platform.trigger(platform.deploy(), "spoken")
    platform.unheard_trigger(platform.undeployed(), "unheard", mnq_region="pl-waw")
    fnkit = Command({"FNKIT_HOME": str(platform.home)})

    def states() -> dict[str, str]:
        return {one["name"]: one["state"] for one in fnkit("platform", "status", "--json").ok().json()["triggers"]}

    wait_until(lambda: states().get("unheard") == "idle", DEADLINE)
    assert states()["spoken"] == "listening"
    text = fnkit("platform", "status").ok().stdout
    assert "Trigger    unheard: no NATS broker in" in text
    assert "spoken: no stream covers spoken: each message is delivered at most once" in text
    assert "right" not in text
