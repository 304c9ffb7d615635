"""Brokers of triggers: reloading ``brokers.toml``, rejected credentials, broker outages and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from nats.js import JetStreamContext

from tests.integration.queues.test_nats_triggers import wait_until_drained
from tests.support.command import Command
from tests.support.control_process import API
from tests.support.queue_platform import (
    ACCOUNT,
    SUCCEEDS,
    NatsServer,
    QueuePlatform,
    connected_client,
    queue_platform,
    running_nats_server,
)
from tests.support.waiting import DEADLINE, wait_until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("brokers")


@pytest.fixture(scope="module")
def paris(folder: Path) -> Iterator[NatsServer]:
    with running_nats_server(folder / "paris") as broker:
        yield broker


@pytest.fixture(scope="module")
def amsterdam(folder: Path) -> Iterator[NatsServer]:
    with running_nats_server(folder / "amsterdam") as broker:
        yield broker


@pytest.fixture(scope="module")
def brokers_file(folder: Path, paris: NatsServer, amsterdam: NatsServer) -> Path:
    file = folder / "brokers.toml"
    file.write_text(
        f'[[nats]]\nregion = "fr-par"\n{paris.config_entry}\n[[nats]]\nregion = "nl-ams"\n{amsterdam.config_entry}'
    )
    file.chmod(0o600)
    return file


@pytest.fixture(scope="module")
def platform(folder: Path, brokers_file: Path) -> Iterator[QueuePlatform]:
    with queue_platform(folder, "--brokers", str(brokers_file)) as running:
        yield running


def error_of(platform: QueuePlatform, trigger: str) -> object:
    found = platform.api.get("triggers", trigger)
    return found["error_message"] if found["status"] == "error" else None


async def consumer_names(stream: JetStreamContext, stream_name: str) -> list[str]:
    return [str(info.name) for info in await stream.consumers_info(stream_name)]


def test_configured_broker_replaces_bundled_nats_server(platform: QueuePlatform) -> None:
    assert platform.url == ""
    assert platform.processes()["nats"] == 0


def test_trigger_uses_broker_of_its_region(
    platform: QueuePlatform, paris: NatsServer, amsterdam: NatsServer
) -> None:
    function = platform.deploy()
    platform.create_listening_trigger(function, "two.regions", mnq_region="fr-par")
    platform.create_listening_trigger(function, "two.regions", mnq_region="nl-ams")

    async def scenario() -> None:
        for broker, body in ((paris, b"from paris"), (amsterdam, b"from amsterdam")):
            async with connected_client(broker.url) as (client, _):
                await client.publish("two.regions", body)
                await client.flush()

    asyncio.run(scenario())
    assert sorted(platform.wait_for_messages(function, 2)) == ["from amsterdam", "from paris"]


def test_trigger_is_ready_and_idle_when_its_region_has_no_broker(platform: QueuePlatform) -> None:
    trigger = platform.create_trigger(platform.create_function(), "idle", mnq_region="pl-waw")

    wait_until(lambda: f"{trigger} (idle) is idle: no NATS broker" in platform.log, DEADLINE)
    assert platform.api.get("triggers", trigger)["status"] == "ready"
    assert f"account {ACCOUNT}" in platform.log


def test_rejected_credentials_error_clears_when_file_is_corrected(
    platform: QueuePlatform, brokers_file: Path, paris: NatsServer
) -> None:
    function, valid = platform.deploy(), brokers_file.read_text()
    trigger = platform.create_listening_trigger(function, "recovering")
    brokers_file.write_text(valid.replace('password = "right"', 'password = "wrong and secret"', 1))
    error = (
        f"the NATS broker nats://127.0.0.1:{paris.port} rejects the user and password in brokers.toml: "
        "Authorization Violation"
    )
    # The broker closes the connection after its reason, which the client may not get to read the first time.
    wait_until(lambda: error_of(platform, trigger) == error, DEADLINE, what=error)
    brokers_file.write_text(valid)
    wait_until(lambda: platform.api.get("triggers", trigger)["status"] == "ready", DEADLINE)
    assert platform.api.get("triggers", trigger)["error_message"] is None
    assert "wrong and secret" not in platform.log

    async def scenario() -> None:
        async with connected_client(paris.url) as (client, _):
            await client.publish("recovering", b"after correction")
            await client.flush()

    wait_until(lambda: platform.is_listening(trigger), DEADLINE)
    asyncio.run(scenario())
    assert platform.wait_for_messages(function, 1) == ["after correction"]


def test_invalid_brokers_file_keeps_triggers_and_logs_all_problems(
    platform: QueuePlatform, brokers_file: Path
) -> None:
    function, valid = platform.deploy(), brokers_file.read_text()
    trigger = platform.create_listening_trigger(function, "unchanged")
    brokers_file.write_text(valid + '\n[[nats]]\nurl = "nowhere"\ncolour = "red"\n')
    wait_until(lambda: "[broker-unknown-key]" in platform.log and "[broker-invalid]" in platform.log, DEADLINE)

    brokers_file.write_text(valid)
    assert platform.api.get("triggers", trigger)["status"] == "ready"
    line = valid.count("\n") + 4
    assert f"{brokers_file}:{line}: colour is not a known setting. [broker-unknown-key]" in platform.log


def test_consumer_of_deleted_trigger_is_removed_after_broker_restart(
    platform: QueuePlatform, amsterdam: NatsServer
) -> None:
    function = platform.deploy()

    async def create_trigger() -> str:
        async with connected_client(amsterdam.url) as (_, stream):
            await stream.add_stream(name="REMOVED", subjects=["removed"])
            trigger = await asyncio.to_thread(
                lambda: platform.create_listening_trigger(function, "removed", mnq_region="nl-ams")
            )
            assert await consumer_names(stream, "REMOVED") == [f"fnkit-{trigger}"]
            return trigger

    async def wait_until_removed() -> None:
        async with connected_client(amsterdam.url) as (client, stream):
            while await consumer_names(stream, "REMOVED"):
                await client.flush()

    trigger = asyncio.run(create_trigger())
    amsterdam.kill()
    platform.api.request("DELETE", f"{API}/triggers/{trigger}").ok()
    platform.api.wait_until_deleted("triggers", trigger)
    amsterdam.start()
    asyncio.run(asyncio.wait_for(wait_until_removed(), DEADLINE))


def test_consumer_resumes_at_its_position_after_broker_restart(platform: QueuePlatform, paris: NatsServer) -> None:
    function = platform.deploy()

    async def deliver_first_message() -> None:
        async with connected_client(paris.url) as (_, stream):
            await stream.add_stream(name="RESTARTS", subjects=["restarts"])
            trigger = await asyncio.to_thread(platform.create_listening_trigger, function, "restarts")
            await stream.publish("restarts", b"before")
            await asyncio.to_thread(platform.wait_for_messages, function, 1)
            await wait_until_drained(stream, "RESTARTS", trigger)  # the acknowledgement follows the response

    async def publish_second_message() -> None:
        async with connected_client(paris.url) as (_, stream):
            await stream.publish("restarts", b"after")

    asyncio.run(asyncio.wait_for(deliver_first_message(), DEADLINE))
    paris.stop()
    paris.start()
    asyncio.run(publish_second_message())
    assert platform.wait_for_messages(function, 2) == ["before", "after"]


@pytest.mark.long
def test_broker_outage_sets_error_and_loses_no_stored_messages(
    platform: QueuePlatform, amsterdam: NatsServer
) -> None:
    function = platform.create_function()

    async def publish_messages() -> str:
        async with connected_client(amsterdam.url) as (_, stream):
            await stream.add_stream(name="OUTAGE", subjects=["outage.>"])
            trigger = await asyncio.to_thread(
                lambda: platform.create_listening_trigger(function, "outage.*", mnq_region="nl-ams")
            )
            for number in range(10):
                await stream.publish("outage.x", b"%d" % number)
            return trigger

    trigger = asyncio.run(publish_messages())
    amsterdam.kill()
    refused = f"the NATS broker nats://127.0.0.1:{amsterdam.port} cannot be reached: Connection refused"
    # A request that was under way first reports the end of its connection.
    wait_until(lambda: error_of(platform, trigger) == refused, DEADLINE, what=refused)
    platform.deploy_code(function, SUCCEEDS)
    amsterdam.start()
    assert sorted(platform.wait_for_messages(function, 10)) == [str(number) for number in range(10)]
    wait_until(lambda: platform.api.get("triggers", trigger)["status"] == "ready", DEADLINE)


def test_startup_error_lists_all_brokers_file_problems_without_secrets(tmp_path: Path) -> None:
    file = tmp_path / "brokers.toml"
    file.write_text(
        '[[nats]]\nurl = "nats://h:1"\nuser = "me"\npassword = "hunter2"\ntoken = "hunter3"\n'
        '[[sqs]]\nendpoint = "ftp://x"\naccess_key = "${NOT_SET_ANYWHERE}"\n'
    )
    fnkit = Command({"FNKIT_HOME": str(tmp_path / "home"), "NOT_SET_ANYWHERE": None})
    result = fnkit("platform", "start", "--detach", "--brokers", str(file), "--json")

    assert result.code == 1
    assert [(problem["line"], problem["code"]) for problem in result.json()["problems"]] == [
        (5, "broker-invalid"),
        (8, "broker-variable"),
        (7, "broker-invalid"),
        (6, "broker-missing"),
    ]
    assert "hunter" not in result.stdout + result.stderr


def test_status_shows_trigger_states_without_passwords(platform: QueuePlatform) -> None:
    platform.create_listening_trigger(platform.deploy(), "core.subject")
    platform.create_trigger(platform.create_function(), "without-broker", mnq_region="pl-waw")
    fnkit = Command({"FNKIT_HOME": str(platform.home)})

    def states() -> dict[str, str]:
        return {one["name"]: one["state"] for one in fnkit("platform", "status", "--json").ok().json()["triggers"]}

    wait_until(lambda: states().get("without-broker") == "idle", DEADLINE)
    assert states()["core-subject"] == "listening"
    text = fnkit("platform", "status").ok().stdout
    assert "without-broker idle: no NATS broker in" in text
    assert "core-subject listening: no stream covers core.subject: each message is delivered at most once" in text
    assert "right" not in text
