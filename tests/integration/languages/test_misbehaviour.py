"""What happens when a handler in each language ends its process, does not end, or exceeds a limit.

The caller gets the documented status with the reason, the function's next request is served, and neither another
function nor the platform is affected. ``test_hostile_handlers`` has more, in Python.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from fnkit.platform.data_plane.workers.isolation import TABLE, Level, Protection
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.hostile_languages import HostileCode, HostileFunction, deploy_hostile, language_parameters
from tests.support.isolation_levels import level_parameters
from tests.support.waiting import wait_until

USER = 54341
LEVELS = [(0, "cgroup"), (0, "namespaces"), (USER, "namespaces"), (0, "landlock"), (USER, "landlock"), (0, "none")]
if os.geteuid() != 0:
    LEVELS = [(0, "namespaces"), (0, "landlock"), (0, "none")]
PHP_EXIT = "the handler ended the process with exit or die"
SIGNALLED = "killed by signal"
OUT_OF_MEMORY = "out of memory"
CRASH_REASONS = {"node": SIGNALLED, "php": SIGNALLED, "python": SIGNALLED, "go": "exit 2", "rust": SIGNALLED}
"""How a process ends that accesses memory which it does not have. Go reports it and exits."""
RECOVERED = ("python", "node", "php")
"""Languages whose handlers get an error that they can handle if the kernel limits the memory of the process."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # of the first build


@pytest.fixture(scope="module", params=level_parameters(LEVELS))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, level = request.param
    with running_data_plane(isolation=level, user=user) as running:
        running.deploy("neighbour", "def handle(e, c):\n    return 'good day'\n", min_scale=1)
        yield running
        assert running.call("neighbour").body == b"good day"


@pytest.fixture(scope="module", params=language_parameters())
def language(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture(scope="module")
def hostile(plane: DataPlaneProcess, code: HostileCode, language: str) -> HostileFunction:
    return deploy_hostile(plane, code, language, memory=512, max_scale=1)


def is_enforced(plane: DataPlaneProcess, protection: Protection) -> bool:
    return protection in TABLE[Level(plane.settings.isolation)]


def assert_serves(function: HostileFunction) -> None:
    assert isinstance(function.do("count"), int)
    assert function.plane.call("neighbour").body == b"good day"


def last_reason(function: HostileFunction, before: list[str]) -> str:
    wait_until(lambda: len(function.end_reasons()) > len(before), what="the end of the instance")
    return function.end_reasons()[-1]


def test_exit_is_reported_to_the_caller(hostile: HostileFunction) -> None:
    before = hostile.end_reasons()
    status, text = hostile.status("exit")
    assert last_reason(hostile, before) == "exit 3"
    if hostile.language == "php":  # its worker can still answer
        assert (status, PHP_EXIT in text) == (500, True)
    else:
        assert (status, "exit 3" in text) == (502, True), text
    assert_serves(hostile)


def test_native_crash_is_reported_to_the_caller(hostile: HostileFunction) -> None:
    before = hostile.end_reasons()
    status, text = hostile.status("crash")
    assert status == 502
    reason = last_reason(hostile, before)
    assert reason.startswith(CRASH_REASONS[hostile.language])
    assert reason in text
    assert_serves(hostile)


def test_endless_loop_is_ended_by_the_timeout(plane: DataPlaneProcess, code: HostileCode, language: str) -> None:
    function = deploy_hostile(plane, code, language, f"loop-{language}", timeout=1.0, max_scale=1)
    assert function.status("loop")[0] == 504
    assert_serves(function)


def test_endless_output_is_bounded(plane: DataPlaneProcess, code: HostileCode, language: str) -> None:
    function = deploy_hostile(plane, code, language, f"print-{language}", timeout=1.0, max_scale=1)
    assert function.status("print")[0] == 504
    assert_serves(function)
    folder = plane.folder / "logs" / function.function_id
    size = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
    assert 0 < size < 30_000 * 400  # 30,000 lines a minute


def test_memory_is_limited(plane: DataPlaneProcess, code: HostileCode, language: str) -> None:
    function = deploy_hostile(plane, code, language, f"memory-{language}", memory=128, max_scale=1, timeout=50.0)
    status, text = function.status("allocate")
    is_handled = status == 500 or "ERR_MEMORY_ALLOCATION_FAILED" in text
    if is_handled and plane.settings.isolation != "cgroup":
        assert language in RECOVERED
    else:
        reason = last_reason(function, [])
        assert (status, reason in text) == (502, True), text
        assert reason == OUT_OF_MEMORY or is_crash_of_gos_collector(function)
    assert_serves(function)


def is_crash_of_gos_collector(function: HostileFunction) -> bool:
    """Return whether Go's collector has crashed because it was refused memory, as that of Go 1.26 sometimes does.

    ``runtime.(*spanQueue).tryDrain`` dereferences a null pointer then, and the program exits with 2.
    """
    if function.language != "go" or function.plane.settings.isolation == "cgroup":
        return False
    route = function.plane.route(function.name, function.plane.folder)
    lines = [line.message for line in function.plane.log_lines(route)]
    return "SIGSEGV: segmentation violation" in lines and any("runtime.(*spanQueue)" in line for line in lines)


@pytest.mark.long
def test_heap_limit_of_node_is_a_clear_reason(plane: DataPlaneProcess, code: HostileCode) -> None:
    function = deploy_hostile(plane, code, "node", "heap-node", memory=256, max_scale=1, timeout=50.0)
    status, text = function.status("objects")
    assert (status, OUT_OF_MEMORY in text) == (502, True), text
    assert last_reason(function, []) == OUT_OF_MEMORY
    assert_serves(function)


def test_large_answer_arrives(hostile: HostileFunction) -> None:
    status, text = hostile.status("huge", count=20)
    assert (status, len(text)) == (200, 20 << 20)
    assert_serves(hostile)


def test_error_of_a_handler_is_logged_without_paths_of_the_platform(hostile: HostileFunction) -> None:
    status, text = hostile.status("fail")
    assert status == 500
    assert "asked to fail" in text or hostile.language in ("go", "rust")
    route = hostile.plane.route(hostile.name, hostile.plane.folder)

    def logged() -> str:
        lines = "\n".join(line.message for line in hostile.plane.log_lines(route))
        return lines if "asked to fail" in lines else ""

    lines = wait_until(logged)
    if Level(hostile.plane.settings.isolation).has_namespaces:
        assert str(hostile.plane.folder) not in lines
    assert "/fnkit/worker" not in lines.replace("/usr/local/lib/fnkit/worker", "")
    assert_serves(hostile)


def test_number_of_descriptors_is_limited(hostile: HostileFunction) -> None:
    assert is_enforced(hostile.plane, Protection.DESCRIPTORS)
    opened = hostile.do("descriptors", count=5000)
    assert isinstance(opened, int)
    assert 3000 < opened < 4096
    assert_serves(hostile)


@pytest.mark.long
def test_number_of_processes_is_limited(plane: DataPlaneProcess, code: HostileCode, language: str) -> None:
    if not is_enforced(plane, Protection.PIDS):
        pytest.skip("not enforced at this level, as reported at startup")
    function = deploy_hostile(plane, code, language, f"processes-{language}", memory=2048, max_scale=1)
    started = function.do("processes", count=700)
    assert isinstance(started, int)
    assert 300 < started < 512
    assert_serves(function)


@pytest.mark.long
def test_disk_is_limited(plane: DataPlaneProcess, code: HostileCode, language: str) -> None:
    if not is_enforced(plane, Protection.DISK):
        pytest.skip("not enforced at this level, as reported at startup")
    function = deploy_hostile(plane, code, language, f"disk-{language}", memory=2048, max_scale=1, timeout=50.0)
    home = function.do("environment")
    assert isinstance(home, dict)
    status, text = function.status("fill", f"{home['HOME']}/big", count=1100)
    assert status == 502 or '"ok":' in text.replace(" ", "")
    if status == 200:
        assert int("".join(filter(str.isdigit, text))) <= 1024
    wait_until(lambda: function.status("count")[0] == 200)  # the instance may be ended during the next request
    assert plane.call("neighbour").body == b"good day"
