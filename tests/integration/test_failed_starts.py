"""Instance starts that the machine makes impossible: their resources are released."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator

import pytest

from fnkit.platform.model import routing
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.resource_counts import PREWARMED
from tests.support.waiting import wait_until

HELLO = "def handle(event, context):\n    return 'hello'\n"
USER = 54300  # root can write to any directory


@pytest.fixture
def plane() -> Iterator[DataPlaneProcess]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with running_data_plane(isolation="none", user=USER) as plane:
        plane.deploy("first", HELLO)
        yield plane


def test_instance_without_directory_fails_and_is_ended(plane: DataPlaneProcess) -> None:
    """As on a full disk. At this level each instance has its own directory, created when it is assigned."""
    wait_until(lambda: len(plane.instances()) == 1 + PREWARMED)
    [folder] = plane.folder.glob("instances-*")
    folder.chmod(0o500)
    for number in range(3):
        route = plane.send_deploy(f"no-directory-{number}", HELLO)
        failed = plane.control.wait(functools.partial(has_failed, route.function_id))
        assert isinstance(failed, routing.DeploymentFailed)
        assert "Permission denied" in failed.message
    folder.chmod(0o700)
    plane.deploy("second", HELLO)
    assert plane.call("second").body == b"hello"
    wait_until(lambda: len(plane.instances()) == 2 + PREWARMED, what="two instances besides pre-warmed workers")


def has_failed(function_id: str, message: routing.DataPlaneMessage) -> bool:
    return isinstance(message, routing.DeploymentFailed) and message.function_id == function_id
