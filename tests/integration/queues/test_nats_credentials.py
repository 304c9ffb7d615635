"""NATS brokers behind doors of every kind: what a trigger says while it is refused, and that it heals by itself."""

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
from tests.support.nats_doors import Door, all_doors, opened_doors
from tests.support.queues import QueuePlatform, queue_platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


class Scene:
    """A platform, its brokers, and a trigger at each, which all call one function."""

    def __init__(self, platform: QueuePlatform, settings: Path, doors: list[Door]) -> None:
        self.platform, self.settings, self.doors = platform, settings, doors
        self.function = platform.deploy()
        self.triggers = {
            door.kind: platform.unheard_trigger(self.function, "doors", mnq_nats_account_id=door.account)
            for door in doors
        }

    def view(self, door: Door) -> dict[str, object]:
        return self.platform.api.get("triggers", self.triggers[door.kind])

    def says(self, door: Door) -> bool:
        return self.fault(door).startswith(door.says.format(url=door.url))

    def is_logged(self, door: Door) -> bool:
        return door.says.format(url=door.url) in self.platform.log

    def is_shown(self, door: Door, fnkit: Command) -> bool:
        return door.says.format(url=door.url) in fnkit("platform", "status").ok().stdout

    def fault(self, door: Door) -> str:
        return str(self.view(door)["error_message"] or "")


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("doors")
    with opened_doors(all_doors(folder)) as doors:
        settings = folder / "brokers.toml"
        settings.write_text("\n".join(door.entry for door in doors))
        settings.chmod(0o600)
        with queue_platform(folder, "--brokers", str(settings)) as platform:
            yield Scene(platform, settings, doors)


def test_connection_error_names_broker_and_cause_without_secrets(scene: Scene) -> None:
    for door in scene.doors:
        wait_until(partial(scene.says, door), what=f"{door.says}, but {scene.fault(door)}")
        assert scene.view(door)["status"] == "error"
    fnkit = Command({"FNKIT_HOME": str(scene.platform.home)})
    for door in scene.doors:
        # Each attempt says anew what is wrong, and a broker that hangs up early says less.
        wait_until(partial(scene.is_logged, door), what=f"{door.says} in the log")
        wait_until(partial(scene.is_shown, door, fnkit), what=f"{door.says} in the status")
    said = [
        scene.platform.log,
        fnkit("platform", "status").ok().stdout,
        fnkit("platform", "status", "--json").ok().stdout,
        fnkit("platform", "logs").ok().stdout,
        json.dumps([scene.view(door) for door in scene.doors]),
        repr(read_brokers_file(scene.settings, {})),
    ]
    for door in scene.doors:
        assert not [secret for secret in door.secrets for one in said if secret in one], door.kind
    assert "Traceback" not in scene.platform.log


def test_trigger_recovers_when_broker_accepts_its_credentials(scene: Scene) -> None:
    for door in scene.doors:
        door.let_in()
    for trigger in scene.triggers.values():
        wait_until(partial(scene.platform.listens, trigger), what=str(scene.platform.api.get("triggers", trigger)))
    wait_until(lambda: all(scene.view(door)["status"] == "ready" for door in scene.doors))
    assert [scene.view(door)["error_message"] for door in scene.doors] == [None] * len(scene.doors)

    async def publish() -> None:
        # As fnkit itself is let in: by what brokers.toml says.
        for door, broker in zip(scene.doors, read_brokers_file(scene.settings, {}).nats, strict=True):
            client, _ = await open_client(broker, lambda _: None)
            await client.publish("doors", door.kind.encode())
            await client.flush()
            await client.close()

    asyncio.run(publish())
    scene.platform.wait_for(scene.function, len(scene.doors))
    assert sorted(scene.platform.bodies(scene.function)) == sorted(door.kind for door in scene.doors)


def test_broker_repr_omits_connection_settings(scene: Scene) -> None:
    for broker in read_brokers_file(scene.settings, {}).nats:
        shown = repr(broker)
        values = [value for key, value in msgspec.structs.asdict(broker).items() if key != "selector" and value]
        assert not [value for value in values if value in shown]
