"""Blank instances that somebody kills: whoever takes one next does not notice."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from fnkit.platform.model import routing
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.processes import is_alive
from tests.support.resource_counts import PREWARMED
from tests.support.waiting import wait_until

HELLO = "def handle(event, context):\n    return 'hello'\n"
USER = 54300
LEVELS = ((0, "auto"), (USER, "auto"), (0, "none"))


@pytest.fixture(scope="module", params=LEVELS, ids=["root", "user", "none"])
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, isolation = request.param
    if os.geteuid() != 0 and user:
        pytest.skip("only root can become another user")
    with running_data_plane(user=user, isolation=isolation) as plane:
        plane.deploy("first", HELLO)  # from here there is a zygote, and one instance beside the blanks
        assert plane.call("first").body == b"hello"
        yield plane


def all_blanks(plane: DataPlaneProcess) -> list[int]:
    """Remove every function, and return the blanks once there are as many as there are to be."""
    for name in list(plane.generations):
        function_id = plane.route(name, plane.folder).function_id
        plane.control.send_and_wait_for_ack(
            routing.RemoveFunction(version=plane.control.next_version(), function_id=function_id)
        )
    wait_until(lambda: len(plane.instances()) == PREWARMED, what=f"{PREWARMED} blanks")
    return plane.instances()


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def test_a_deploy_that_finds_only_dead_blanks_succeeds(plane: DataPlaneProcess) -> None:
    """The zygote is stopped while they are killed: nobody can have said that they are dead."""
    victims = all_blanks(plane)
    zygotes = plane.zygotes()
    signal_all(zygotes, signal.SIGSTOP)
    signal_all(victims, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, victims)))
    route = plane.send_deploy("finds-dead-ones", HELLO)
    version = plane.control.next_version()
    clock = routing.ClockState(platform_time=time.time(), real_time=time.time(), speed=0.0)
    plane.control.send_and_wait_for_ack(
        routing.ClockChanged(version=version, clock=clock)
    )  # the deploy is under way
    signal_all(zygotes, signal.SIGCONT)
    settled = plane.control.wait(lambda heard: is_settled(heard, route))
    assert isinstance(settled, routing.DeploymentStarted), settled
    assert plane.call("finds-dead-ones").body == b"hello"


@pytest.mark.parametrize("milliseconds", [0, 1, 3, 10, 40])
def test_a_deploy_whose_blank_is_killed_when_it_has_just_been_taken_succeeds(
    plane: DataPlaneProcess, milliseconds: int
) -> None:
    """They are stopped before, so the one that is taken cannot have read its settings when it is killed."""
    victims = all_blanks(plane)
    signal_all(victims, signal.SIGSTOP)
    route = plane.send_deploy("is-robbed", HELLO)
    time.sleep(milliseconds / 1000)  # whenever it comes: the result is the same
    signal_all(victims, signal.SIGKILL)
    settled = plane.control.wait(lambda heard: is_settled(heard, route))
    assert isinstance(settled, routing.DeploymentStarted), settled
    assert plane.call("is-robbed").body == b"hello"


def test_a_deploy_whose_instance_is_killed_while_it_imports_succeeds(plane: DataPlaneProcess) -> None:
    source = "import time\nprint('importing')\ntime.sleep(0.5)\n" + HELLO
    route = plane.send_deploy("is-shot", source)
    wait_until(lambda: any(line.message == "importing" for line in plane.log_lines(route)))
    signal_all(plane.instances(), signal.SIGKILL)
    settled = plane.control.wait(lambda heard: is_settled(heard, route))
    assert isinstance(settled, routing.DeploymentStarted), settled
    assert plane.call("is-shot").body == b"hello"


def test_a_handler_that_kills_itself_whenever_it_is_imported_is_a_failed_deploy(plane: DataPlaneProcess) -> None:
    route = plane.send_deploy("shoots-itself", "import os\nos.kill(os.getpid(), 9)\nos._exit(1)\n")
    settled = plane.control.wait(lambda heard: is_settled(heard, route))
    assert isinstance(settled, routing.DeploymentFailed)


def test_killed_blanks_are_replaced_although_nobody_asks_for_one(plane: DataPlaneProcess) -> None:
    victims = all_blanks(plane)
    signal_all(victims, signal.SIGKILL)
    wait_until(lambda: len(set(plane.instances()) - set(victims)) == PREWARMED, what="new blanks")


def is_settled(heard: routing.DataPlaneMessage, route: routing.Route) -> bool:
    return (
        isinstance(heard, routing.DeploymentStarted | routing.DeploymentFailed)
        and heard.function_id == route.function_id
        and heard.generation == route.generation
    )
