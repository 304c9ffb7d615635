"""``fnkit dev --debug`` with debuggers that attach, stop at breakpoints, and stay attached when files are saved."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.command import Command, Completed
from tests.support.debug_client import debug_client
from tests.support.debugpy_wheel import write_debugpy_wheel
from tests.support.dev_session import DevSessionUnderTest, dev_session
from tests.support.package_index import package_index
from tests.support.project_tree import write_files
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

ORDERS = """
from fnkit import function

from lib.counting import add


@function(timeout=10, min_scale=0, max_scale=5)
def orders(event, context):
    total = add(2, 3)
    print("counted")
    return f"total {total}"


@function
def stock(event, context):
    return "stock 1"
"""
COUNTING = """
def add(first, second):
    result = first + second
    return result
"""
LINE_OF_TOTAL = 9
LINE_OF_RESULT = 3


class Request(threading.Thread):
    """A request to a function, which may stand at a breakpoint meanwhile."""

    def __init__(self, session: DevSessionUnderTest, function: str) -> None:
        super().__init__(daemon=True)
        self._session = session
        self._function = function
        self.answer = (0, "")
        self.start()

    def run(self) -> None:
        self.answer = self._session.get(self._function)

    def result(self) -> tuple[int, str]:
        """Wait for the response; return its status and body."""
        self.join(timeout=60)
        return self.answer


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with package_index(tmp_path / "index") as index:
        write_debugpy_wheel(index.folder)
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        yield write_files(
            tmp_path / "project",
            {
                "fnkit.toml": 'name = "shop"\n',
                "orders.py": ORDERS,
                "lib/__init__.py": "",
                "lib/counting.py": COUNTING,
            },
        )


@pytest.fixture
def session(project: Path, tmp_path: Path) -> Iterator[DevSessionUnderTest]:
    with dev_session(project, tmp_path / "home", "--debug", "orders") as running:
        running.wait_for("serving")
        yield running


def configuration(item: dict[str, Any], project: Path) -> dict[str, Any]:
    """Return the configuration of the project's launch file, with the variables of an editor replaced."""
    text = (project / str(item["launch_file"])).read_text()
    [found] = [one for one in json.loads(text)["configurations"] if one["name"] == "fnkit: orders"]
    assert found == item["configuration"]
    replaced: dict[str, Any] = json.loads(json.dumps(found).replace("${workspaceFolder}", str(project)))
    return replaced


def test_breakpoint_in_a_file_of_the_project_stops_a_request(session: DevSessionUnderTest, project: Path) -> None:
    item = session.wait_for("debugging")
    assert (item["function"], item["host"]) == ("orders", "127.0.0.1")
    with debug_client(item["port"]) as editor:
        editor.attach(configuration(item, project), {project / "lib/counting.py": [LINE_OF_RESULT]})
        request = Request(session, "orders")
        thread, frames = editor.wait_until_stopped()
        shown = [(one["name"], one["source"]["path"], one["line"]) for one in frames]
        assert shown == [
            ("add", str(project / "lib/counting.py"), LINE_OF_RESULT),
            ("orders", str(project / "orders.py"), LINE_OF_TOTAL),
        ], "the frames of the project, and of nothing else"
        assert editor.local_variables(frames[0]) == {"first": "2", "second": "3"}
        evaluated = editor.call("evaluate", expression="first * 10", frameId=frames[0]["id"], context="repl")
        assert evaluated["result"] == "20"
        editor.call("next", threadId=thread)
        _, frames = editor.wait_until_stopped()
        assert editor.local_variables(frames[0])["result"] == "5"
        editor.call("continue", threadId=thread)
        assert request.result() == (200, "total 5")
        assert session.get("stock") == (200, "stock 1"), "the others run without a debugger"


def test_editor_attaches_again_when_a_file_is_saved(session: DevSessionUnderTest, project: Path) -> None:
    item = session.wait_for("debugging")
    launch = configuration(item, project)
    with debug_client(item["port"]) as editor:
        editor.attach(launch, {project / "orders.py": [LINE_OF_TOTAL]})
        request = Request(session, "orders")
        editor.wait_until_stopped()
        text = (project / "orders.py").read_text()
        (project / "orders.py").write_text(text.replace("add(2, 3)", "add(2, 40)"))
        assert editor.wait_for("terminated") == {"restart": True}
        editor.call("disconnect", restart=True)
        assert request.result() == (200, "total 5"), "it was answered by the code that it began with"
    with debug_client(item["port"]) as editor:
        editor.attach(launch, {project / "orders.py": [LINE_OF_TOTAL + 1]})
        session.wait_for("reloaded")
        request = Request(session, "orders")
        thread, frames = editor.wait_until_stopped()
        assert editor.local_variables(frames[0])["total"] == "42"
        editor.call("continue", threadId=thread)
        assert request.result() == (200, "total 42")


def test_request_at_a_breakpoint_may_take_longer_than_the_timeout(
    session: DevSessionUnderTest, project: Path
) -> None:
    item = session.wait_for("debugging")
    with debug_client(item["port"]) as editor:
        editor.attach(configuration(item, project), {project / "orders.py": [LINE_OF_TOTAL]})
        request = Request(session, "orders")
        waiting = Request(session, "orders")
        stopped_at = time.monotonic()
        thread, _ = editor.wait_until_stopped()
        wait_until(lambda: time.monotonic() > stopped_at + 11, what="the timeout of the function is over")
        assert request.is_alive()
        assert waiting.is_alive(), "one instance answers all requests"
        editor.set_breakpoints(project / "orders.py", [])
        editor.call("continue", threadId=thread)
        assert (request.result(), waiting.result()) == ((200, "total 5"), (200, "total 5"))


def test_request_continues_when_the_editor_is_closed(session: DevSessionUnderTest, project: Path) -> None:
    item = session.wait_for("debugging")
    with debug_client(item["port"]) as editor:
        editor.attach(configuration(item, project), {project / "orders.py": [LINE_OF_TOTAL]})
        request = Request(session, "orders")
        editor.wait_until_stopped()
    assert request.result() == (200, "total 5")


def test_instance_that_ends_is_replaced_and_can_be_debugged(session: DevSessionUnderTest, project: Path) -> None:
    item = session.wait_for("debugging")
    launch = configuration(item, project)
    with debug_client(item["port"]) as editor:
        editor.attach(launch, {project / "orders.py": [LINE_OF_TOTAL]})
        request = Request(session, "orders")
        thread, frames = editor.wait_until_stopped()
        editor.send("evaluate", expression="__import__('os')._exit(3)", frameId=frames[0]["id"], context="repl")
        assert request.result()[0] == 502
        assert editor.wait_for("terminated") == {"restart": True}
        editor.call("disconnect", restart=True)
    with debug_client(item["port"]) as editor:
        editor.attach(launch, {project / "orders.py": [LINE_OF_TOTAL]})
        request = Request(session, "orders")
        thread, _ = editor.wait_until_stopped()
        editor.call("continue", threadId=thread)
        assert request.result() == (200, "total 5")


class NodeDebugger:
    """A client of Node's inspector protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Send a command, and return its result."""
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        return dict(self._receive(lambda message: message.get("id") == self._number)["result"])

    def wait_for(self, event: str) -> dict[str, Any]:
        """Return the parameters of the next event of a kind."""
        return dict(self._receive(lambda message: message.get("method") == event)["params"])

    def _receive(self, condition: Any) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(self._connection.recv(timeout=60))
            if condition(message):
                return message


def node_debugger_url(port: int) -> str:
    """Return where a debugger connects to, as an editor finds it out."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=60) as answer:
        return str(json.load(answer)[0]["webSocketDebuggerUrl"])


def wait_for_body(session: DevSessionUnderTest, body: str) -> None:
    """Wait until the function in Node answers with this body."""
    wait_until(lambda: session.get("greet") == (200, body), what=f"{body} is the answer")


def test_node_function_is_debugged(tmp_path: Path) -> None:
    project = write_files(
        tmp_path / "project",
        {
            "fnkit.toml": 'name = "nodes"\n\n[[function]]\nname = "greet"\nruntime = "node24"\n'
            'handler = "handler.handle"\npath = "greet"\n',
            "greet/handler.js": "module.exports.handle = () => {\n  const word = 'node 1';\n  return word;\n};\n",
        },
    )
    with dev_session(project, tmp_path / "home", "--debug", "greet") as session:
        session.wait_for("serving")
        item = session.wait_for("debugging")
        assert item["configuration"]["localRoot"] == "${workspaceFolder}/greet"
        for version in (1, 2):
            wait_for_body(session, f"node {version}")
            url = node_debugger_url(item["port"])
            assert url.startswith(f"ws://127.0.0.1:{item['port']}/")
            with connect(url) as connection:
                debugger = NodeDebugger(connection)
                debugger.call("Debugger.enable")
                script = "file:///home/app/function/handler.js"
                found = debugger.call("Debugger.setBreakpointByUrl", lineNumber=2, url=script)
                assert found["locations"], found
                request = Request(session, "greet")
                paused = debugger.wait_for("Debugger.paused")
                value = debugger.call(
                    "Debugger.evaluateOnCallFrame",
                    callFrameId=paused["callFrames"][0]["callFrameId"],
                    expression="word",
                )
                assert value["result"]["value"] == f"node {version}"
                debugger.call("Debugger.resume")
                assert request.result() == (200, f"node {version}")
            file = project / "greet/handler.js"
            file.write_text(file.read_text().replace("node 1", "node 2"))
        assert not any("Debugger listening" in one.get("message", "") for one in session.items)


@pytest.mark.parametrize(("function", "code"), [("missing", "no-function"), ("hello", "debug-language")])
def test_function_that_cannot_be_debugged_is_an_error(
    project: Path, tmp_path: Path, function: str, code: str
) -> None:
    with (project / "fnkit.toml").open("a") as settings:
        settings.write(
            '\n[[function]]\nname = "hello"\nruntime = "php84"\nhandler = "handler.handle"\npath = "php"\n'
        )
    write_files(project, {"php/handler.php": "<?php\nfunction handle($event, $context) { return 'hello'; }\n"})
    result = debug(project, tmp_path / "home", function)
    assert result.code == 2
    assert result.json()["error"]["code"] == code


def test_port_in_use_is_an_error(project: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = debug(project, tmp_path / "home", "orders", "--debug-port", str(other.getsockname()[1]))
    assert result.code == 1
    assert result.json()["error"]["code"] == "debug-port"


def test_debugger_that_cannot_be_installed_is_an_error(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_OFFLINE", "1")
    result = debug(project, tmp_path / "home", "orders")
    assert result.code == 1
    assert result.json()["error"]["code"] == "debugger-missing"


def debug(project: Path, home: Path, *options: str) -> Completed:
    """Run the command, which fails before it serves."""
    fnkit = Command({"FNKIT_HOME": str(home), "FNKIT_CACHE": str(home / "cache")})
    return fnkit("dev", "--json", "--debug", *options, cwd=project)
