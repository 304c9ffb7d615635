"""A forked child reads its secrets only after its sandbox is applied."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit import worker

FOLDER = Path(worker.__file__).parent

PROGRAM = """
import os, sys
sys.path.insert(0, sys.argv[1] + "/python")
import launch
main = launch.load("main")
root = main.RootFilesystem("/", "/")
connection = int(sys.argv[3])

def confined(*_):
    os.write(connection, b"confined\\n")

main.confine.confine = main.confine.confine_fork = confined
descriptors = [connection, os.dup(1), os.dup(2)]
if sys.argv[2] == "deployment":
    main.DeploymentZygote(None, "none", root).run_child(descriptors)
main.run_fork(descriptors, "none", root, sys.argv[1])
"""
HANDLER = "import os\n\ndef handle(event, context):\n    return os.environ['SECRET']\n"


def document(values: dict[str, object]) -> bytes:
    encoded = json.dumps(values).encode()
    return len(encoded).to_bytes(4, "big") + encoded


@pytest.mark.parametrize("zygote", ["interpreter", "deployment"])
def test_environment_is_read_after_the_sandbox_is_applied(tmp_path: Path, zygote: str) -> None:
    (tmp_path / "handler.py").write_text(HANDLER)
    parent_end, child_end = socket.socketpair()
    parent_end.settimeout(30)
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, str(FOLDER), zygote, str(child_end.fileno())]
    settings = {
        "level": "none", "code": str(tmp_path), "root": str(tmp_path), "home": str(tmp_path),
        "handler": "handler.handle", "memory": 128, "disk": 16, "processes": 16, "uid": 0, "hostname": "x",
        "filter": False, "fresh": False, "directories": [],
    }  # fmt: skip
    with (
        subprocess.Popen(command, pass_fds=[child_end.fileno()]) as process,
        parent_end,
        parent_end.makefile("rb") as lines,
    ):
        child_end.close()
        assert lines.readline() == b"\n"
        prepared = {"cgroups": [], "disk": "", "is_zygote": False, "source": "python/serve.py", "program": None}
        parent_end.sendall(document(prepared) + document(settings))
        assert lines.readline() == b"confined\n"  # its secrets have not been sent yet
        parent_end.sendall(document({"SECRET": "hidden", "PATH": os.defpath}))
        assert json.loads(lines.readline()) == {"ready": True}
        parent_end.shutdown(socket.SHUT_RDWR)
        assert process.wait(60) == 0
