"""NATS triggers with the kit: deploy, publish, list the deliveries, and replay one."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import nats
import pytest

from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.source_tree import REPOSITORY
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

TEA = b'{"id": 7, "lines": [{"sku": "TEA", "quantity": 3}]}'
HAT = b'{"id": 8, "lines": [{"sku": "HAT", "quantity": 1}]}'


def publish(url: str, *bodies: bytes) -> None:
    """Create a stream with the subject, and publish at once."""

    async def scenario() -> None:
        client = await nats.connect(url)
        stream = client.jetstream()
        await stream.add_stream(name="ORDERS", subjects=["orders.>"])
        for body in bodies:
            await stream.publish("orders.created", body)
        await client.close()

    asyncio.run(scenario())


def deliveries(platform: PlatformUnderTest, project: Path, *options: str) -> list[dict[str, object]]:
    answer = platform.command("trigger", "deliveries", "on-order", "--local", "--json", *options, cwd=project)
    found = answer.json()["deliveries"]
    assert isinstance(found, list)
    return found


def wait_for_deliveries(platform: PlatformUnderTest, project: Path) -> list[dict[str, object]]:
    """Wait until two deliveries are finished, and return all, sorted by status."""
    found: list[dict[str, object]] = []

    def has_finished() -> bool:
        found[:] = deliveries(platform, project)
        return [one["status"] for one in found if one["status"] != "pending"][1:] != []

    try:
        wait_until(has_finished)
    except AssertionError as error:
        log = (platform.home / "logs" / "platform" / "control.log").read_text()
        raise AssertionError(f"{found}\n{log}") from error
    return sorted(found, key=lambda one: str(one["status"]))


@pytest.mark.long
def test_orders_example_handles_messages_and_replays_dead_ones(tmp_path: Path) -> None:
    project = Path(shutil.copytree(REPOSITORY / "examples" / "orders", tmp_path / "orders"))
    with running_platform(tmp_path / "home", "--clock-speed", "120") as platform:
        deployed = platform.command("deploy", "--local", "--yes", "--json", cwd=project).ok().json()
        assert [one["status"] for one in deployed["functions"]] == ["ready"]
        url = platform.command("platform", "env", "--format", "dotenv").ok().stdout.partition("NATS_URL=")[2]
        publish(url.splitlines()[0], TEA, HAT)

        dead, succeeded = wait_for_deliveries(platform, project)
        assert (succeeded["status"], succeeded["attempts"], succeeded["body"]) == ("succeeded", 1, TEA.decode())
        assert (dead["attempts"], dead["http_status"], dead["error"]) == (
            4,
            422,
            "HTTP 422: nobody sells HAT",
        )

        source = project / "main.py"
        source.write_text(source.read_text(encoding="utf-8").replace('"CUP"', '"HAT"'), encoding="utf-8")
        platform.command("deploy", "--local", "--yes", cwd=project).ok()
        platform.command("trigger", "deliveries", "on-order", "--local", "--replay-failed", cwd=project).ok()
        wait_until(
            lambda: ("replay", "succeeded") in [(o["cause"], o["status"]) for o in deliveries(platform, project)]
        )
        again = platform.command("deploy", "--local", "--yes", "--json", cwd=project).ok().json()
        assert again["summary"]["keep"] == sum(again["summary"].values())
