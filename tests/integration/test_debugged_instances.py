"""Instances under a debugger: at every isolation level, breakpoints are set in the files of the project."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

from fnkit.dev.debugging.launch_file import launch_configuration
from fnkit.dev.debugging.relay import DebugRelay
from fnkit.platform.model.debugger import Debugger
from tests.support.data_plane import running_data_plane
from tests.support.debug_client import debug_client
from tests.support.isolation_levels import level_parameters

USER = 54380
AS_ROOT = os.geteuid() == 0
LEVELS = [(0, "cgroup")] if AS_ROOT else []
LEVELS += [(0, "namespaces"), *([(USER, "namespaces")] if AS_ROOT else []), (0, "landlock"), (0, "none")]
KEY = "key of the session"
HANDLER = """
import sys

def handle(event, context):
    places = [index for index, entry in enumerate(sys.path) if "fnkit-debugger" in entry]
    return {"after own modules": places > [1], "memory": context["memoryLimitInMb"]}
"""
LINE_OF_RETURN = 6


@pytest.fixture
def debugger_directory() -> Iterator[Path]:
    """A directory with debugpy that every user can read."""
    with tempfile.TemporaryDirectory(prefix="fnkit-debugger-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        shutil.copytree(Path(str(distribution("debugpy").locate_file("debugpy"))), directory / "debugpy")
        yield directory


@pytest.mark.slow
@pytest.mark.parametrize("user_and_level", level_parameters(LEVELS))
def test_breakpoints_hit_in_the_files_of_the_project(
    user_and_level: tuple[int, str], debugger_directory: Path, tmp_path: Path
) -> None:
    user, level = user_and_level
    source = tmp_path / "handler.py"
    source.write_text(HANDLER)
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        running_data_plane(isolation=level, user=user) as plane,
    ):
        relay = DebugRelay(listener, key=KEY, source_root=tmp_path, has_adapter=True)
        relay.start()
        try:
            debugger = Debugger(
                function="debugged", directory=str(debugger_directory), port=relay.report_port, key=KEY
            )
            plane.deploy("debugged", HANDLER, debugger=debugger, min_scale=1, max_scale=1, memory=128)
            configuration = launch_configuration("debugged", "Python", folder=".", port=relay.port)
            local = [{"localRoot": str(tmp_path), "remoteRoot": "/home/app/function"}]
            with debug_client(relay.port) as editor:
                editor.attach({**configuration, "pathMappings": local}, {source: [LINE_OF_RETURN]})
                answers = []
                request = threading.Thread(target=lambda: answers.append(plane.call("debugged")))
                request.start()
                thread, frames = editor.wait_until_stopped()
                assert [(one["name"], one["source"]["path"]) for one in frames] == [("handle", str(source))]
                editor.call("continue", threadId=thread)
                request.join(timeout=60)
            assert answers[0].json() == {"after own modules": True, "memory": 128}
        finally:
            relay.stop()
