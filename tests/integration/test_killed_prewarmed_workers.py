"""Pre-warmed workers that are killed: deploys that would use them still succeed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import pytest

from fnkit.platform.model import routing
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.isolation_levels import user_parameters
from tests.support.processes import is_alive
from tests.support.resource_counts import PREWARMED
from tests.support.waiting import wait_until

USER = 54324
HELLO = "def handle(event, context):\n    return 'hello'\n"


@pytest.fixture(scope="module", params=user_parameters(USER))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, isolation = request.param
    with running_data_plane(user=user, isolation=isolation) as plane:
        plane.deploy("first", HELLO)  # starts a zygote, pre-warmed workers and one instance
        assert plane.call("first").body == b"hello"
        yield plane


def full_pool(plane: DataPlaneProcess) -> list[int]:
    """Remove every function and return the pids of the pre-warmed workers once the pool is full."""
    for name in list(plane.generations):
        function_id = plane.route(name, plane.folder).function_id
        plane.control.send_and_wait_for_ack(
            routing.RemoveFunction(version=plane.control.next_version(), function_id=function_id)
        )
    wait_until(lambda: len(plane.instances()) == PREWARMED, what=f"{PREWARMED} pre-warmed workers")
    return plane.instances()


def signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def test_deploy_succeeds_when_all_prewarmed_workers_are_dead(plane: DataPlaneProcess) -> None:
    """The zygote is stopped meanwhile, so it cannot have reported their exit."""
    victims = full_pool(plane)
    zygotes = plane.zygotes()
    signal_all(zygotes, signal.SIGSTOP)
    signal_all(victims, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, victims)))
    route = plane.send_deploy("all-dead", HELLO)
    version = plane.control.next_version()
    clock = routing.ClockState(platform_time=time.time(), real_time=time.time(), speed=0.0)
    plane.control.send_and_wait_for_ack(
        routing.ClockChanged(version=version, clock=clock)
    )  # the deploy has started
    signal_all(zygotes, signal.SIGCONT)
    settled = plane.control.wait(lambda message: is_settled(message, route))
    assert isinstance(settled, routing.DeploymentStarted), settled
    assert plane.call("all-dead").body == b"hello"


@pytest.mark.long
@pytest.mark.parametrize("milliseconds", [0, 1, 3, 10, 40])
def test_deploy_succeeds_when_assigned_worker_is_killed(plane: DataPlaneProcess, milliseconds: int) -> None:
    """The workers are stopped first, so the assigned one cannot have read its settings when it is killed."""
    victims = full_pool(plane)
    signal_all(victims, signal.SIGSTOP)
    route = plane.send_deploy("worker-killed", HELLO)
    time.sleep(milliseconds / 1000)  # the result must not depend on the time of the kill
    signal_all(victims, signal.SIGKILL)
    settled = plane.control.wait(lambda message: is_settled(message, route))
    assert isinstance(settled, routing.DeploymentStarted), settled
    assert plane.call("worker-killed").body == b"hello"


def test_deploy_succeeds_when_instance_is_killed_during_import(plane: DataPlaneProcess) -> None:
    source = "import time\nprint('importing')\ntime.sleep(0.5)\n" + HELLO
    route = plane.send_deploy("import-killed", source)
    wait_until(lambda: any(line.message == "importing" for line in plane.log_lines(route)))
    signal_all(plane.instances(), signal.SIGKILL)
    settled = plane.control.wait(lambda message: is_settled(message, route))
    assert isinstance(settled, routing.DeploymentStarted), settled
    assert plane.call("import-killed").body == b"hello"


def test_deploy_fails_when_every_import_kills_the_process(plane: DataPlaneProcess) -> None:
    route = plane.send_deploy("kills-itself", "import os\nos.kill(os.getpid(), 9)\nos._exit(1)\n")
    settled = plane.control.wait(lambda message: is_settled(message, route))
    assert isinstance(settled, routing.DeploymentFailed)


def test_killed_prewarmed_workers_are_replaced_without_demand(plane: DataPlaneProcess) -> None:
    victims = full_pool(plane)
    signal_all(victims, signal.SIGKILL)
    wait_until(lambda: len(set(plane.instances()) - set(victims)) == PREWARMED, what="new pre-warmed workers")


def is_settled(message: routing.DataPlaneMessage, route: routing.Route) -> bool:
    return (
        isinstance(message, routing.DeploymentStarted | routing.DeploymentFailed)
        and message.function_id == route.function_id
        and message.generation == route.generation
    )
