"""The instances of functions in each language: what starts them, how many there are, and what is known of them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from fnkit.platform.model import routing
from tests.support.data_plane import DataPlaneProcess, children, running_data_plane
from tests.support.hostile_languages import (
    STARTED_AHEAD,
    HostileCode,
    HostileFunction,
    deploy_hostile,
    language_parameters,
    route_fields,
)
from tests.support.isolation_levels import user_parameters
from tests.support.metrics import function_metrics, wait_for_counts
from tests.support.processes import descendants, is_alive
from tests.support.resource_counts import PREWARMED, processes_of
from tests.support.waiting import DEADLINE, wait_until

USER = 54342
START_VARIABLES = {
    "NODE_OPTIONS": "--no-warnings",
    "LANG": "fr_FR.UTF-8",
    "LD_LIBRARY_PATH": "/opt/lib",
    "SSL_CERT_FILE": "/opt/certificates.pem",
    "UV_THREADPOOL_SIZE": "8",
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # of the first build


@pytest.fixture(scope="module", params=user_parameters(USER))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, isolation = request.param
    with running_data_plane(user=user, isolation=isolation) as running:
        yield running


@pytest.fixture(scope="module", params=language_parameters())
def language(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


def started_with_environment(function: HostileFunction) -> bool:
    """Return whether the process was executed with the variables of its function, and so not ahead of use."""
    return "SCW_APPLICATION_NAME" in function.text("read", "/proc/self/environ")


def test_interpreters_are_started_ahead_where_the_root_can_be_completed(
    plane: DataPlaneProcess, code: HostileCode, language: str
) -> None:
    function = deploy_hostile(plane, code, language, f"plain-{language}", environment={"NODE_ENV": "production"})
    has_namespaces = plane.settings.isolation != "none"
    assert started_with_environment(function) is not (
        language == "python" or (has_namespaces and language in STARTED_AHEAD)
    )
    environment = function.do("environment")
    assert isinstance(environment, dict)
    assert environment["NODE_ENV"] == "production"


@pytest.mark.parametrize(
    "variable", ["NODE_OPTIONS", "LANG", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "UV_THREADPOOL_SIZE"]
)
def test_variables_that_node_reads_at_its_start_are_honoured(
    plane: DataPlaneProcess, code: HostileCode, variable: str
) -> None:
    value = {"NODE_OPTIONS": "--no-warnings", "LANG": "fr_FR.UTF-8"}.get(variable, "4")
    function = deploy_hostile(
        plane,
        code,
        "node",
        f"start-{variable.lower().replace('_', '-')}",
        environment={variable: value, "OWN": "own"},
    )
    assert started_with_environment(function)
    environment = function.do("environment")
    assert isinstance(environment, dict)
    assert (environment[variable], environment["OWN"]) == (value, "own")
    assert "FNKIT_WORKER_FD" not in environment


def test_time_zone_is_that_of_the_variable(plane: DataPlaneProcess, code: HostileCode, language: str) -> None:
    if language == "rust" and plane.settings.isolation == "none":
        pytest.skip("the C library is the machine's")
    function = deploy_hostile(plane, code, language, f"zone-{language}", environment={"TZ": "Asia/Tokyo"})
    assert function.do("hour") == 9


def test_sandbox_v1_runs_every_language(plane: DataPlaneProcess, code: HostileCode, language: str) -> None:
    function = deploy_hostile(plane, code, language, f"v1-{language}", sandbox="v1", environment={"OWN": "own"})
    status = dict(
        line.split(":\t", 1) for line in function.text("read", "/proc/self/status").splitlines() if ":\t" in line
    )
    assert status["Seccomp"] == "0"
    assert started_with_environment(function) or language == "python"
    environment = function.do("environment")
    assert isinstance(environment, dict)
    assert environment["OWN"] == "own"
    assert "FNKIT_WORKER_FD" not in environment
    assert function.refuses("read", plane.folder / "stderr.log") or plane.settings.isolation == "none"


def test_lines_belong_to_their_requests(plane: DataPlaneProcess, code: HostileCode, language: str) -> None:
    function = deploy_hostile(plane, code, language, f"lines-{language}", max_scale=1)
    for number in range(3):
        function.do("line", number)
    route = plane.route(function.name, plane.folder)
    wanted = [f"line of {number}" for number in range(3)]

    def lines() -> list[tuple[str, str]]:
        found = [(one.message, one.request_id) for one in plane.log_lines(route) if one.stream == "stdout"]
        return found if len(found) == 3 else []

    found = wait_until(lines)
    assert [message for message, _ in found] == wanted
    assert len({request for _, request in found} - {""}) == 3


def test_function_scales_to_its_maximum_and_to_zero(
    plane: DataPlaneProcess, code: HostileCode, language: str
) -> None:
    name = f"scale-{language}"
    route = plane.deploy(name, code.files(language), **route_fields(language), max_scale=3, timeout=DEADLINE)
    function = HostileFunction(plane, language, name, route.function_id)
    with ThreadPoolExecutor(4) as callers:
        statuses = [callers.submit(function.status, "shell", "sleep 55") for _ in range(4)]
        wait_for_counts(plane, route, busy=3, waiting=1)
        wait_until(lambda: end_sleeps(plane, statuses), what="the end of all requests")
        assert {status.result()[0] for status in statuses} == {200}
    metrics = function_metrics(plane, route)
    assert (metrics.idle, metrics.requests) == (3, {200: 4})
    # Memory is read once a second at most: the last reading may be from before the start.
    wait_until(lambda: function_metrics(plane, route).memory_bytes, what="a reading of the memory")
    has_names = plane.settings.isolation != "none"
    assert len(plane.instances_of(name)) == (3 if has_names else 0)
    plane.control.send(
        routing.RemoveFunction(version=plane.control.next_version(), function_id=function.function_id)
    )
    wait_until(lambda: not plane.instances_of(name), what="the end of three instances")


def end_sleeps(plane: DataPlaneProcess, statuses: list[Future[tuple[int, str]]]) -> bool:
    """End the processes that handlers wait for, and return whether all requests are answered."""
    for pid in descendants(plane.process.pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x0055\0":
                os.kill(pid, signal.SIGKILL)
    return all(status.done() for status in statuses)


def test_min_scale_keeps_an_instance(plane: DataPlaneProcess, code: HostileCode, language: str) -> None:
    function = deploy_hostile(plane, code, language, f"kept-{language}", min_scale=1, max_scale=1)
    function.do("count")
    function.status("crash")
    wait_until(function.end_reasons)
    assert function.do("count") == 1


@pytest.mark.parametrize("ahead", STARTED_AHEAD)
def test_killed_blanks_and_zygotes_are_replaced(plane: DataPlaneProcess, code: HostileCode, ahead: str) -> None:
    function = deploy_hostile(plane, code, ahead, f"blank-{ahead}", memory=256, max_scale=1)
    function.do("count")
    blanks = [pid for pid in plane.instances() if runs(pid, ahead)]
    for pid in blanks:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, blanks)))
    assert wait_until(lambda: function.status("count")[0] == 200)
    zygotes = plane.zygotes()
    for pid in zygotes:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, zygotes)))
    assert wait_until(lambda: function.status("count")[0] == 200)


def runs(pid: int, language: str) -> bool:
    try:
        return language.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return False


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_is_left_of_a_data_plane(code: HostileCode, number: signal.Signals) -> None:
    with running_data_plane() as plane:
        for language in STARTED_AHEAD:
            deploy_hostile(plane, code, language, min_scale=1).do("count")
        wait_until(lambda: len(plane.instances()) >= 2 + len(STARTED_AHEAD) * min(PREWARMED, 2))
        below = {pid for zygote in plane.zygotes() for pid in [zygote, *children(zygote)]}
        assert below
        os.kill(plane.process.pid, number)
        plane.process.wait(DEADLINE)
        wait_until(lambda: not processes_of(plane), what="the end of all processes")
        wait_until(lambda: not any(map(is_alive, below)))
        mounts = Path("/proc/self/mounts").read_text()
        assert str(plane.folder) not in mounts
        if number == signal.SIGTERM:
            groups = [*Path("/sys/fs/cgroup").glob(f"fnkit-{plane.process.pid}-*")]
            groups += Path("/sys/fs/cgroup").glob(f"*/fnkit-{plane.process.pid}-*")
            assert not groups
