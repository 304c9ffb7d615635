"""Programs with a ``main`` of their own, which serve HTTP on ``$PORT`` behind a relay in their instance.

The relay does not depend on the language. The programs here are in Go, and one that is a script, which needs no
compiler.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from fnkit.platform.model import routing
from fnkit.platform.model.routing import Route
from fnkit.worker.built_program import HTTP_SERVER
from tests.support.builds import Builder, shared_cache
from tests.support.data_plane import DataPlaneProcess, running_data_plane
from tests.support.hostile_languages import route_fields
from tests.support.isolation_levels import level_parameters
from tests.support.processes import descendants, is_alive
from tests.support.waiting import wait_until

USER = 54343
LEVELS = [(0, "cgroup"), (0, "namespaces"), (USER, "namespaces"), (0, "landlock"), (USER, "landlock"), (0, "none")]
if os.geteuid() != 0:
    LEVELS = [(0, "namespaces"), (0, "landlock"), (0, "none")]
PANIC = b'Post "http://127.0.0.1:8081/": EOF\n'
SCRIPT = """#!/usr/bin/python3 -IS
import http.server, os, socket, sys, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/exit":
            os._exit(3)
        if self.path == "/crash":
            os.kill(os.getpid(), 11)
            time.sleep(300)  # another thread may get the signal
        if self.path == "/panic":
            self.close_connection = True
            return
        if self.path == "/loop":
            time.sleep(300)
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            return
        text = repr(sorted(os.environ)) if self.path == "/environment" else self.path
        if self.path == "/descriptors":
            paths = ["/proc/self/fd/" + name for name in os.listdir("/proc/self/fd")]
            links = {path: os.readlink(path) for path in paths if os.path.lexists(path)}
            sockets = [int(path[14:]) for path, link in links.items() if link.startswith("socket:")]
            families = [socket.socket(fileno=os.dup(number)).family.name for number in sockets]
            text = repr([*links.values(), *families])
        if self.path == "/status":
            text = open("/proc/self/status").read()
        self.send_response(200)
        self.send_header("fnkit-handler-panicked", "1")
        self.end_headers()
        self.wfile.write(text.encode())
    do_POST = do_GET

    def log_message(self, *_):
        print("served", self.path, flush=True)

START
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
"""
GO_PROGRAM = """package main

import (
	"fmt"
	"net/http"
	"os"
)

func main() {
	http.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/elsewhere", 302)
	})
	http.HandleFunc("/panic", func(w http.ResponseWriter, r *http.Request) { panic("asked to") })
	http.HandleFunc("/exit", func(w http.ResponseWriter, r *http.Request) { os.Exit(3) })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) })
	http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil)
}
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=level_parameters(LEVELS))
def plane(request: pytest.FixtureRequest) -> Iterator[DataPlaneProcess]:
    user, level = request.param
    if not Path("/usr/bin/python3").exists():
        pytest.skip("the script needs /usr/bin/python3")
    with running_data_plane(isolation=level, user=user) as running:
        yield running


def program(start: str = "") -> dict[str, str | bytes]:
    return {".fnkit/handler": SCRIPT.replace("START", start), HTTP_SERVER: ""}


def deploy(plane: DataPlaneProcess, name: str, **changes: object) -> Route:
    return plane.deploy(name, program(), **{**route_fields("go"), "max_scale": 1, **changes})


def remove(plane: DataPlaneProcess, route: Route) -> None:
    version = plane.control.next_version()
    plane.control.send(routing.RemoveFunction(version=version, function_id=route.function_id))


def is_settled(message: routing.DataPlaneMessage, route: Route) -> bool:
    return (
        isinstance(message, routing.DeploymentStarted | routing.DeploymentFailed)
        and message.function_id == route.function_id
    )


def test_requests_are_relayed(plane: DataPlaneProcess) -> None:
    route = deploy(plane, "relayed", environment={"OWN": "own"})
    reply = plane.call("relayed", "/some/path")
    assert (reply.status, reply.body) == (200, b"/some/path")
    assert "fnkit-handler-panicked" not in {name.lower() for name in reply.headers}
    redirect = plane.call("relayed", "/redirect")
    assert (redirect.status, redirect.headers["Location"]) == (302, "/elsewhere")
    assert b"'OWN'" in plane.call("relayed", "/environment").body
    assert b"FNKIT" not in plane.call("relayed", "/environment").body
    wait_until(lambda: any(line.message == "served /some/path" for line in plane.log_lines(route)))


def test_program_has_no_descriptor_of_its_instance(plane: DataPlaneProcess) -> None:
    if plane.settings.isolation == "landlock":
        pytest.skip("child processes cannot read their own /proc at this level")
    deploy(plane, "descriptors")
    shown = plane.call("descriptors", "/descriptors").body.decode()
    assert "AF_INET" in shown
    assert "AF_UNIX" not in shown, shown
    assert shown.count("pipe:") == 2, shown
    if plane.settings.isolation != "none":
        status = plane.call("descriptors", "/status").body
        assert b"CapEff:\t0000000000000000" in status
        assert b"NoNewPrivs:\t1" in status


def test_connection_that_is_closed_without_an_answer_is_a_panic(plane: DataPlaneProcess) -> None:
    deploy(plane, "panics")
    reply = plane.call("panics", "/panic")
    assert (reply.status, reply.body) == (500, PANIC)
    assert plane.call("panics", "/next").body == b"/next"


def test_end_of_the_program_ends_the_instance(plane: DataPlaneProcess) -> None:
    route = deploy(plane, "ends")
    for path, reason in (("/exit", "exit 3"), ("/crash", "exit 139")):
        assert plane.call("ends", path).status in (500, 502)
        wait_until(partial(has_ended, plane, route, reason))
        assert plane.call("ends", "/next").body == b"/next"


def has_ended(plane: DataPlaneProcess, route: Route, reason: str) -> bool:
    return reason in plane.exit_reasons(route.function_id)


def test_endless_request_ends_the_program_too(plane: DataPlaneProcess) -> None:
    route = deploy(plane, "endless", timeout=1.0)
    assert plane.call("endless", "/loop").status == 504
    wait_until(lambda: plane.exit_reasons(route.function_id))
    assert plane.call("endless", "/next").body == b"/next"


def test_end_of_the_instance_ends_the_program(plane: DataPlaneProcess) -> None:
    before = descendants(plane.process.pid)
    route = deploy(plane, "removed")
    assert plane.call("removed", "/x").status == 200
    programs = [pid for pid in descendants(plane.process.pid) - before if runs_program(pid)]
    assert programs
    remove(plane, route)
    wait_until(lambda: not any(map(is_alive, programs)), what="the end of the program")


def test_killed_instance_leaves_no_program(plane: DataPlaneProcess) -> None:
    before = descendants(plane.process.pid)
    deploy(plane, "killed")
    assert plane.call("killed", "/x").status == 200
    programs = [pid for pid in descendants(plane.process.pid) - before if runs_program(pid)]
    for pid in programs:
        os.kill(parent_of(pid), signal.SIGKILL)
    wait_until(lambda: not any(map(is_alive, programs)), what="the end of the program")
    assert plane.call("killed", "/y").body == b"/y"


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def runs_program(pid: int) -> bool:
    try:
        return b".fnkit/handler" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def test_program_that_ends_before_it_listens_is_a_failed_deployment(plane: DataPlaneProcess) -> None:
    route = plane.send_deploy("stillborn", program("print('no settings'); sys.exit(4)"), **route_fields("go"))
    result = plane.control.wait(lambda message: is_settled(message, route))
    assert isinstance(result, routing.DeploymentFailed)
    assert "the program ended before it listened on port" in result.message


def test_program_that_never_listens_has_the_time_of_a_start(plane: DataPlaneProcess) -> None:
    """It stays pending: the start of a handler may take five minutes, as on the real platform."""
    before = descendants(plane.process.pid)
    files = program("print('waiting', flush=True); time.sleep(1000)")
    route = plane.send_deploy("silent", files, **route_fields("go"))
    wait_until(lambda: any(line.message == "waiting" for line in plane.log_lines(route)))
    assert not [message for message in plane.control.received if is_settled(message, route)]
    programs = [pid for pid in descendants(plane.process.pid) - before if runs_program(pid)]
    assert programs
    remove(plane, route)
    wait_until(lambda: not any(map(is_alive, programs)), what="the end of the program")


@pytest.mark.long
@pytest.mark.timeout(600)
def test_program_in_go_is_built_and_relayed(
    plane: DataPlaneProcess, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with shared_cache(tmp_path_factory, "go") as cache:
        builder = Builder(tmp_path_factory.mktemp("go-main"), cache)
        result = builder.build("Go", "Handle", {"go.mod": "module main\n\ngo 1.22\n", "main.go": GO_PROGRAM})
    files: dict[str, str | bytes] = {".fnkit/handler": result.program.read_bytes(), HTTP_SERVER: ""}
    assert (result.directory / HTTP_SERVER).exists()
    plane.deploy("go-main", files, **route_fields("go"), max_scale=1)
    assert plane.call("go-main", "/path").body == b"/path"
    redirect = plane.call("go-main", "/redirect")
    assert (redirect.status, redirect.headers["Location"]) == (302, "/elsewhere")
    assert plane.call("go-main", "/panic").body == PANIC
    assert plane.call("go-main", "/exit").status in (500, 502)
    assert wait_until(lambda: plane.call("go-main", "/again").body == b"/again")
