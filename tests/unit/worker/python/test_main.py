"""A fork reads its secrets when its sandbox is complete, not before."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit import worker

FOLDER = Path(worker.__file__).parent / "python"

PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1])
import launch
main = launch.load("main")
child = main.InterpreterZygote(None, "none", "/")
if sys.argv[2] == "deployment":
    child = main.DeploymentZygote(None, child, {}, {})
connection = int(sys.argv[3])

def confined(*_):
    os.write(connection, b"confined\\n")

main.confine.confine = main.confine.confine_fork = confined
child.run_child([connection, os.dup(1), os.dup(2)])
"""
HANDLER = "import os\n\ndef handle(event, context):\n    return os.environ['SECRET']\n"


def document(values: dict[str, object]) -> bytes:
    encoded = json.dumps(values).encode()
    return len(encoded).to_bytes(4, "big") + encoded


@pytest.mark.parametrize("zygote", ["interpreter", "deployment"])
def test_the_environment_is_read_after_the_sandbox_was_applied(tmp_path: Path, zygote: str) -> None:
    (tmp_path / "handler.py").write_text(HANDLER)
    ours, theirs = socket.socketpair()
    ours.settimeout(30)
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, str(FOLDER), zygote, str(theirs.fileno())]
    settings = {
        "level": "none", "code": str(tmp_path), "root": str(tmp_path), "home": str(tmp_path),
        "handler": "handler.handle", "memory": 128, "disk": 16, "processes": 16, "uid": 0, "hostname": "x",
        "filter": False,
    }  # fmt: skip
    with subprocess.Popen(command, pass_fds=[theirs.fileno()]) as process, ours, ours.makefile("rb") as lines:
        theirs.close()
        assert lines.readline() == b"\n"
        ours.sendall(document({"cgroups": []}) + document(settings))
        assert lines.readline() == b"confined\n"  # although its secrets were not sent yet
        ours.sendall(document({"SECRET": "hidden", "PATH": os.defpath}))
        assert json.loads(lines.readline()) == {"ready": True}
        ours.shutdown(socket.SHUT_RDWR)
        assert process.wait(60) == 0
