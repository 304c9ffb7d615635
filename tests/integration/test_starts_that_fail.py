"""Starts that this machine makes impossible: what was taken for them is given back."""

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
USER = 54300  # nobody keeps root from writing to a folder


@pytest.fixture
def plane() -> Iterator[DataPlaneProcess]:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with running_data_plane(isolation="none", user=USER) as plane:
        plane.deploy("first", HELLO)
        yield plane


def test_an_instance_that_can_get_no_folder_is_ended(plane: DataPlaneProcess) -> None:
    """As on a full disk. At this level each instance has a folder of its own, which is made when it is taken."""
    wait_until(lambda: len(plane.instances()) == 1 + PREWARMED)
    [folder] = plane.folder.glob("instances-*")
    folder.chmod(0o500)
    for number in range(3):
        route = plane.send_deploy(f"homeless-{number}", HELLO)
        failed = plane.control.wait(functools.partial(has_failed, route.function_id))
        assert isinstance(failed, routing.DeploymentFailed)
        assert "Permission denied" in failed.message
    folder.chmod(0o700)
    plane.deploy("second", HELLO)
    assert plane.call("second").body == b"hello"
    wait_until(
        lambda: len(plane.instances()) == 2 + PREWARMED, what=f"two instances beside blanks: {plane.instances()}"
    )


def has_failed(function_id: str, heard: routing.DataPlaneMessage) -> bool:
    return isinstance(heard, routing.DeploymentFailed) and heard.function_id == function_id
