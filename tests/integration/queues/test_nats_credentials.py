"""NATS brokers with every kind of authentication: errors while they reject a trigger, and recovery afterwards."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest

from fnkit.platform.brokers.config_file import read_brokers_file
from fnkit.platform.control.events.queues.nats.client import open_client
from tests.support.command import Command
from tests.support.nats_auth_servers import AuthServer, auth_servers, running_auth_servers
from tests.support.queue_platform import QueuePlatform, queue_platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.long


class TriggersUnderTest:
    """A platform and its brokers, with one trigger per broker for the same function."""

    def __init__(self, platform: QueuePlatform, settings: Path, brokers: list[AuthServer]) -> None:
        self.platform, self.settings, self.brokers = platform, settings, brokers
        self.function = platform.deploy()
        self.triggers = {
            broker.name: platform.create_trigger(self.function, "login", mnq_nats_account_id=broker.account)
            for broker in brokers
        }

    def view(self, broker: AuthServer) -> dict[str, object]:
        return self.platform.api.get("triggers", self.triggers[broker.name])

    def has_error(self, broker: AuthServer) -> bool:
        return self.error_message(broker).startswith(broker.rejection.format(url=broker.url))

    def is_logged(self, broker: AuthServer) -> bool:
        return broker.rejection.format(url=broker.url) in self.platform.log

    def is_shown(self, broker: AuthServer, fnkit: Command) -> bool:
        return broker.rejection.format(url=broker.url) in fnkit("platform", "status").ok().stdout

    def error_message(self, broker: AuthServer) -> str:
        return str(self.view(broker)["error_message"] or "")


@pytest.fixture(scope="module")
def under_test(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TriggersUnderTest]:
    folder = tmp_path_factory.mktemp("credentials")
    with running_auth_servers(auth_servers(folder)) as brokers:
        settings = folder / "brokers.toml"
        settings.write_text("\n".join(broker.config_section for broker in brokers))
        settings.chmod(0o600)
        with queue_platform(folder, "--brokers", str(settings)) as platform:
            yield TriggersUnderTest(platform, settings, brokers)


def test_connection_error_names_broker_and_cause_without_secrets(under_test: TriggersUnderTest) -> None:
    for broker in under_test.brokers:
        wait_until(
            partial(under_test.has_error, broker),
            what=f"{broker.rejection} instead of {under_test.error_message(broker)}",
        )
        assert under_test.view(broker)["status"] == "error"
    fnkit = Command({"FNKIT_HOME": str(under_test.platform.home)})
    for broker in under_test.brokers:
        # Each attempt updates the error, which is less specific if the broker closed the connection early.
        wait_until(partial(under_test.is_logged, broker), what=f"{broker.rejection} in the log")
        wait_until(partial(under_test.is_shown, broker, fnkit), what=f"{broker.rejection} in the status")
    outputs = [
        under_test.platform.log,
        fnkit("platform", "status").ok().stdout,
        fnkit("platform", "status", "--json").ok().stdout,
        fnkit("platform", "logs").ok().stdout,
        json.dumps([under_test.view(broker) for broker in under_test.brokers]),
        repr(read_brokers_file(under_test.settings, {})),
    ]
    for broker in under_test.brokers:
        assert not [secret for secret in broker.secrets for output in outputs if secret in output], broker.name
    assert "Traceback" not in under_test.platform.log


def test_trigger_recovers_when_broker_accepts_its_credentials(under_test: TriggersUnderTest) -> None:
    for broker in under_test.brokers:
        broker.accept_credentials()
    for trigger in under_test.triggers.values():
        wait_until(
            partial(under_test.platform.is_listening, trigger),
            what=str(under_test.platform.api.get("triggers", trigger)),
        )
    wait_until(lambda: all(under_test.view(broker)["status"] == "ready" for broker in under_test.brokers))
    assert [under_test.view(broker)["error_message"] for broker in under_test.brokers] == [None] * len(
        under_test.brokers
    )

    async def publish() -> None:
        # With the credentials in brokers.toml, as the platform itself connects.
        for broker, config in zip(under_test.brokers, read_brokers_file(under_test.settings, {}).nats, strict=True):
            client, _ = await open_client(config, lambda _: None)
            await client.publish("login", broker.name.encode())
            await client.flush()
            await client.close()

    asyncio.run(publish())
    under_test.platform.wait_for_messages(under_test.function, len(under_test.brokers))
    assert sorted(under_test.platform.handled_bodies(under_test.function)) == sorted(
        broker.name for broker in under_test.brokers
    )


def test_broker_repr_omits_connection_settings(under_test: TriggersUnderTest) -> None:
    for broker in read_brokers_file(under_test.settings, {}).nats:
        shown = repr(broker)
        values = [value for key, value in msgspec.structs.asdict(broker).items() if key != "selector" and value]
        assert not [value for value in values if value in shown]
