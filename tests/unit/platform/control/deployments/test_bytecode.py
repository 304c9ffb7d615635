"""A build writes bytecode beside the sources, compiled by the function's interpreter."""

from __future__ import annotations

import io
import json
import os
import socket
import stat
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fnkit.platform.control.deployments.archive import compile_sources
from fnkit.platform.control.deployments.build import build
from fnkit.platform.control.deployments.build_job import BuildJob, BuildLog, BuildStopped


def job(tmp_path: Path, files: dict[str, str], interpreter: str | None = sys.executable) -> BuildJob:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        link = zipfile.ZipInfo("linked.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "main.py")
    return BuildJob(
        runtime="python311",
        handler="main.handle",
        archive=content,
        target=tmp_path / "f-1",
        uid=0,
        interpreter=interpreter,
        log=BuildLog(tmp_path / "logs", 1, lambda: "2026-01-01T00:00:00.000000Z"),
        progress=lambda _: None,
    )


def compiled(folder: Path) -> set[str]:
    tag = sys.implementation.cache_tag
    return {
        f"{path.parent.parent.relative_to(folder)}/{path.name.removesuffix(f'.{tag}.pyc')}"
        for path in folder.rglob("*.pyc")
    }


def test_modules_except_tests_of_packages_have_bytecode(tmp_path: Path) -> None:
    one = job(
        tmp_path,
        {
            "main.py": "import other",
            "lib/other.py": "",
            "package/p/__init__.py": "",
            "package/p/tests/test_p.py": "",
            "broken.py": "def (",
            "nul.py": "\0",
            "not-a-package/data.py": "",
        },
    )
    build(one)

    assert compiled(one.target) == {"./main", "lib/other", "package/p/__init__"}


def test_import_uses_the_compiled_bytecode(tmp_path: Path) -> None:
    one = job(tmp_path, {"main.py": "import os\nprint(os.path.basename(__cached__), __file__)\n"})
    build(one)
    source = one.target / "main.py"
    source.write_text("raise SystemExit('compiled again')")

    run = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import main", str(one.target)]
    process = subprocess.run(run, capture_output=True, text=True, check=False)

    assert process.stdout.split() == [f"main.{sys.implementation.cache_tag}.pyc", str(source)], process.stderr


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can run deployments as separate users")


@as_root
def test_files_belong_to_the_user_of_the_function_and_its_group(tmp_path: Path) -> None:
    """The platform's group can enter the directory; no other group is known where modules are preloaded."""
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    one = replace(job(tmp_path, {"main.py": "", "a/b.py": ""}), uid=54321)
    build(one)

    owners = {(path.lstat().st_uid, path.lstat().st_gid) for path in one.target.rglob("*")}
    top = one.target.stat()
    assert owners == {(54321, 54321)}
    assert (top.st_uid, top.st_gid, stat.S_IMODE(top.st_mode)) == (54321, os.getgid(), 0o750)


@as_root
def test_bytecode_is_compiled_as_the_user_of_the_function(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    one = replace(job(tmp_path, {"main.py": "", "a/b.py": ""}), uid=54321)
    build(one)

    owners = {path.stat().st_uid for path in one.target.rglob("*.pyc")}
    assert (compiled(one.target), owners) == ({"./main", "a/b"}, {54321})


_HOSTILE_INTERPRETER = """#!{python}
import json, os, py_compile, runpy, socket, sys

def attack(*_arguments, **_options):
    def refused(action):
        try:
            action()
        except Exception as error:
            return type(error).__name__
        return "allowed"

    actions = {{
        "network": lambda: socket.socket().connect(("127.0.0.1", {port})),
        "datagram": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix": lambda: socket.socket(socket.AF_UNIX).connect({unix!r}),
        "read": lambda: open({secret!r}).read(),
        "list": lambda: os.listdir({folder!r}),
        "write": lambda: open({folder!r} + "/written", "w"),
        "password": lambda: open("/etc/passwd").read(),
        "environment": lambda: open("/proc/%d/environ" % os.getppid(), "rb").read(),
        "fork": lambda: os.fork() or os._exit(0),
        "execute": lambda: os.execv("/bin/true", ["true"]),
        "signal": lambda: os.kill(os.getppid(), 0),
        "root": lambda: os.setuid(0) if os.getuid() else 1 / 0,
    }}
    with open("attacks.json", "w") as file:
        json.dump({{name: refused(action) for name, action in actions.items()}}, file)

py_compile.compile = attack
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.parametrize("uid", [0, pytest.param(54321, marks=as_root)])
def test_compiler_of_hostile_sources_is_confined(tmp_path: Path, uid: int) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    secret.chmod(0o644)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.fspath(tmp_path / "unix"))
        unix.listen()
        text = _HOSTILE_INTERPRETER.format(
            python=sys.executable,
            port=server.getsockname()[1],
            unix=os.fspath(tmp_path / "unix"),
            secret=os.fspath(secret),
            folder=os.fspath(tmp_path),
        )
        interpreter = tmp_path / "interpreter"
        interpreter.write_text(text)
        interpreter.chmod(0o755)
        one = replace(job(tmp_path, {"main.py": ""}, interpreter=os.fspath(interpreter)), uid=uid)
        build(one)

    results = json.loads((one.target / "attacks.json").read_text())
    assert {name for name, result in results.items() if result == "allowed"} == set()
    assert results["network"] == results["read"] == "PermissionError"
    assert not (tmp_path / "written").exists()


def test_nothing_is_compiled_without_a_sandbox(tmp_path: Path) -> None:
    interpreter = tmp_path / "interpreter"
    interpreter.write_text("#!/bin/sh\nexit 3\n")
    interpreter.chmod(0o755)
    one = job(tmp_path, {"main.py": ""}, interpreter=os.fspath(interpreter))
    build(one)

    assert compiled(one.target) == set()
    assert "requires Landlock" in (tmp_path / "logs" / "build.jsonl").read_text()


def test_build_without_interpreter_writes_no_bytecode(tmp_path: Path) -> None:
    one = job(tmp_path, {"main.py": ""}, interpreter=None)
    build(one)

    assert compiled(one.target) == set()


def test_missing_interpreter_is_logged_and_the_build_succeeds(tmp_path: Path) -> None:
    one = job(tmp_path, {"main.py": ""}, interpreter=str(tmp_path / "missing"))
    build(one)

    assert compiled(one.target) == set()
    assert "Compiled nothing" in "".join(path.read_text() for path in (tmp_path / "logs").rglob("*.jsonl"))


def test_stopped_build_does_not_wait_for_the_compiler(tmp_path: Path) -> None:
    program = tmp_path / "slow"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    one = job(tmp_path, {}, interpreter=str(program))
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "main.py").touch()
    threading.Timer(0.1, one.stop.set).start()

    with pytest.raises(BuildStopped):
        compile_sources(one, folder)
