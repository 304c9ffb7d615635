"""Handlers that misbehave, over real HTTP, at every level this machine gives, as root and as somebody else.

Whatever a handler does: its caller gets an answer of the right kind, the function's next request and other
functions are served, and in the end nothing is left: no process, descriptor, mount, control group or folder. What
a level does not enforce is not tried there; that the level says so is asserted instead.
"""

from __future__ import annotations

import functools
import http.client
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from fnkit.platform.data_plane.workers.isolation import TABLE, Level, candidate_levels, unenforced
from fnkit.platform.model import routing
from fnkit.platform.model.log_record import MAX_LINE_BYTES
from fnkit.platform.model.routing import Route
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.isolation_levels import level_parameters
from tests.support.misbehaving_handlers import (
    MISBEHAVING_IMPORTS,
    NON_TERMINATING_HANDLERS,
    TERMINATING_HANDLERS,
    MisbehavingHandler,
)
from tests.support.resource_counts import PREWARMED, ResourceCounts, resource_counts
from tests.support.waiting import DEADLINE, wait_until

USER = 54300
CUT_OFF = 0


def levels() -> list[tuple[int, str]]:
    everybody = [level.value for level in candidate_levels("auto", is_root=False)] + [Level.NONE.value]
    if os.geteuid() != 0:
        return [(0, level) for level in everybody]
    return [(0, Level.CGROUP.value), *((0, level) for level in everybody), *((USER, level) for level in everybody)]


class Hostage:
    """A data plane, the neighbour that must not suffer, and what the data plane held before anything happened."""

    def __init__(self, plane: DataPlaneProcess) -> None:
        self.plane = plane
        self.level = Level(plane.settings.isolation)
        plane.deploy("neighbour", "def handle(event, context):\n    return 'good day'\n", min_scale=1)
        assert plane.call("neighbour").body == b"good day"
        wait_until(lambda: len(plane.instances()) == 1 + PREWARMED)
        self.before: ResourceCounts = resource_counts(plane)
        self.deployed: list[Route] = []

    def deploy(self, hostility: MisbehavingHandler, **changes: object) -> str:
        name = hostility.name.replace(" ", "-").replace("'", "")
        mark = {"MARK": self.plane.folder.name}
        route = self.plane.deploy(
            name, hostility.source, memory=hostility.memory, max_scale=1, environment=mark, **changes
        )
        self.deployed.append(route)
        return name

    def ask(self, name: str, path: str = "/") -> int:
        """Return the status, ``CUT_OFF`` for an answer that ends in the middle."""
        try:
            return self.plane.call(name, path).status
        except (http.client.HTTPException, ConnectionError):
            return CUT_OFF

    def ask_again(self, name: str) -> int:
        """As ``ask``, for what everybody answers well; whatever came before, no other answer is given for it."""
        reply = self.plane.call(name, "/fine")
        assert reply.status != 200 or reply.body == b"fine"
        return reply.status

    def is_well(self, name: str) -> bool:
        return self.ask_again(name) == 200

    def remove(self, *routes: Route) -> None:
        for route in routes:
            version = self.plane.control.next_version()
            self.plane.control.send(routing.RemoveFunction(version=version, function_id=route.function_id))

    def everybody_else_is_well(self) -> None:
        assert self.plane.call("neighbour").body == b"good day"


@pytest.fixture(scope="module", params=level_parameters(levels()))
def hostage(request: pytest.FixtureRequest) -> Iterator[Hostage]:
    user, level = request.param
    with running_data_plane(isolation=level, user=user) as plane:
        yield Hostage(plane)


def may_be_tried(hostage: Hostage, hostility: MisbehavingHandler) -> bool:
    """Whether the level holds this; where it does not, it has said so."""
    if hostility.requires is None or hostility.requires in TABLE[hostage.level]:
        return True
    assert hostility.requires in unenforced(hostage.level)
    assert hostility.requires.value in (hostage.plane.folder / "stderr.log").read_text()
    return False


@pytest.mark.parametrize("hostility", TERMINATING_HANDLERS, ids=lambda one: one.name)
def test_its_caller_is_answered_and_nobody_else_notices(hostage: Hostage, hostility: MisbehavingHandler) -> None:
    if not may_be_tried(hostage, hostility):
        return
    name = hostage.deploy(hostility, timeout=DEADLINE)
    assert hostage.ask(name) in hostility.statuses
    assert hostage.ask_again(name) in hostility.next_statuses
    assert hostage.ask_again(name) == 200
    hostage.everybody_else_is_well()
    hostage.remove(hostage.deployed.pop())


def test_headers_of_a_handler_cannot_become_lines_of_their_own(hostage: Hostage) -> None:
    source = (
        "HEADERS = {\n"
        "    'X-A': 'a\\r\\nX-Injected: 1\\r\\n\\r\\nbody', 'X-B\\r\\nX-Injected': '1', 'X-C': ['\\n', 'c'],\n"
        "    'Content-Length': '99', 'Transfer-Encoding': 'chunked', 'Connection': 'upgrade', 'Upgrade': 'x',\n"
        "}\n"
        "def handle(event, context):\n    return {'body': 'x', 'headers': HEADERS}\n"
    )
    hostage.deployed.append(hostage.plane.deploy("injects", source))
    raw = hostage.plane.send_raw(b"GET / HTTP/1.1\r\nHost: injects.test\r\nConnection: close\r\n\r\n")
    head, _, body = raw.partition(b"\r\n\r\n")
    assert body == b"x"
    names = [line.partition(b":")[0].lower() for line in head.split(b"\r\n")]
    assert b"x-injected" not in names
    assert b"transfer-encoding" not in names
    assert b"\r\ncontent-length: 1\r\n" in head.lower()


def test_handlers_that_never_end_are_ended_and_their_functions_serve_on(hostage: Hostage) -> None:
    tried = [one for one in NON_TERMINATING_HANDLERS if may_be_tried(hostage, one)]
    # Who begins to answer has time to: all of them are at work at once.
    names = [hostage.deploy(one, timeout=0.7 if one.statuses == (504,) else 3.0) for one in tried]
    with ThreadPoolExecutor(len(names)) as callers:
        statuses = [callers.submit(hostage.ask, name) for name in names]
        hostage.everybody_else_is_well()
        for one, status in zip(tried, statuses, strict=True):
            assert status.result() in one.statuses, one.name
    for name in names:  # one that answered and goes on is found out by its next request's timeout
        assert wait_until(functools.partial(hostage.is_well, name)), name
    hostage.everybody_else_is_well()


@pytest.mark.parametrize("what", MISBEHAVING_IMPORTS)
def test_an_import_that_misbehaves_hurts_its_own_function_alone(hostage: Hostage, what: str) -> None:
    source, status = MISBEHAVING_IMPORTS[what]
    plane = hostage.plane
    route = plane.send_deploy(what.replace(" ", "-"), source, environment={"MARK": plane.folder.name})
    hostage.deployed.append(route)
    settled = plane.control.wait(
        lambda heard: (
            isinstance(heard, routing.DeploymentStarted | routing.DeploymentFailed)
            and heard.function_id == route.function_id
        )
    )
    assert isinstance(settled, routing.DeploymentFailed if status is None else routing.DeploymentStarted)
    if status is not None:
        for _ in range(3):
            assert hostage.ask(route.name) == status
    hostage.everybody_else_is_well()


def test_what_it_prints_is_bounded_line_by_line_and_as_a_whole(hostage: Hostage) -> None:
    [printer] = [route for route in hostage.deployed if route.name == "prints-without-end"]
    [liner] = [route for route in hostage.deployed if route.name == "prints-a-line-without-end"]
    lines = hostage.plane.log_lines(printer)
    assert sum(line.stream != "system" for line in lines) <= 30_000
    for line in hostage.plane.log_lines(liner):
        assert len(line.message) <= MAX_LINE_BYTES
    for route in (printer, liner):
        folder = hostage.plane.folder / "logs" / route.function_id
        assert sum(path.stat().st_size for path in folder.iterdir()) < 9 * 8 * 1024 * 1024


def test_in_the_end_nothing_is_left(hostage: Hostage) -> None:
    hostage.remove(*hostage.deployed)
    hostage.everybody_else_is_well()
    try:
        wait_until(lambda: resource_counts(hostage.plane).is_within(hostage.before))
    except AssertionError:
        raise AssertionError(f"{hostage.before} → {resource_counts(hostage.plane)}") from None
