"""NATS brokers with each kind of credentials: the error of a rejected trigger, and its recovery."""

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

pytestmark = pytest.mark.slow


class Scene:
    """A platform, its brokers, and a trigger at each, which all call one function."""

    def __init__(self, platform: QueuePlatform, settings: Path, servers: list[AuthServer]) -> None:
        self.platform, self.settings, self.servers = platform, settings, servers
        self.function = platform.deploy()
        self.triggers = {
            server.name: platform.create_trigger(self.function, "login", mnq_nats_account_id=server.account)
            for server in servers
        }

    def view(self, server: AuthServer) -> dict[str, object]:
        return self.platform.api.get("triggers", self.triggers[server.name])

    def says(self, server: AuthServer) -> bool:
        return self.fault(server).startswith(server.rejection.format(url=server.url))

    def is_logged(self, server: AuthServer) -> bool:
        return server.rejection.format(url=server.url) in self.platform.log

    def is_shown(self, server: AuthServer, fnkit: Command) -> bool:
        return server.rejection.format(url=server.url) in fnkit("platform", "status").ok().stdout

    def fault(self, server: AuthServer) -> str:
        return str(self.view(server)["error_message"] or "")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("login")
    with running_auth_servers(auth_servers(folder)) as servers:
        settings = folder / "brokers.toml"
        settings.write_text("\n".join(server.config_section for server in servers))
        settings.chmod(0o600)
        with queue_platform(folder, "--brokers", str(settings)) as platform:
            yield Scene(platform, settings, servers)


def test_each_refusal_names_the_broker_and_what_to_check_and_no_secret(scene: Scene) -> None:
    for server in scene.servers:
        wait_until(partial(scene.says, server), what=f"{server.rejection}, but {scene.fault(server)}")
        assert scene.view(server)["status"] == "error"
    fnkit = Command({"FNKIT_HOME": str(scene.platform.home)})
    for server in scene.servers:
        # Each attempt says anew what is wrong, and a broker that hangs up early says less.
        wait_until(partial(scene.is_logged, server), what=f"{server.rejection} in the log")
        wait_until(partial(scene.is_shown, server, fnkit), what=f"{server.rejection} in the status")
    said = [
        scene.platform.log,
        fnkit("platform", "status").ok().stdout,
        fnkit("platform", "status", "--json").ok().stdout,
        fnkit("platform", "logs").ok().stdout,
        json.dumps([scene.view(server) for server in scene.servers]),
        repr(read_brokers_file(scene.settings, {})),
    ]
    for server in scene.servers:
        assert not [secret for secret in server.secrets for one in said if secret in one], server.name
    assert "Traceback" not in scene.platform.log


def test_each_heals_by_itself_when_its_broker_lets_it_in(scene: Scene) -> None:
    for server in scene.servers:
        server.accept_credentials()
    for trigger in scene.triggers.values():
        wait_until(
            partial(scene.platform.is_listening, trigger), what=str(scene.platform.api.get("triggers", trigger))
        )
    wait_until(lambda: all(scene.view(server)["status"] == "ready" for server in scene.servers))
    assert [scene.view(server)["error_message"] for server in scene.servers] == [None] * len(scene.servers)

    async def publish() -> None:
        # As fnkit itself is let in: by what brokers.toml says.
        for server, broker in zip(scene.servers, read_brokers_file(scene.settings, {}).nats, strict=True):
            client, _ = await open_client(broker, lambda _: None)
            await client.publish("login", server.name.encode())
            await client.flush()
            await client.close()

    asyncio.run(publish())
    scene.platform.wait_for_messages(scene.function, len(scene.servers))
    assert sorted(scene.platform.handled_bodies(scene.function)) == sorted(server.name for server in scene.servers)


def test_a_broker_s_description_shows_none_of_its_keys(scene: Scene) -> None:
    for broker in read_brokers_file(scene.settings, {}).nats:
        shown = repr(broker)
        values = [value for key, value in msgspec.structs.asdict(broker).items() if key != "selector" and value]
        assert not [value for value in values if value in shown]
