"""Hostile build tools at each level of their sandbox, as root and as another user: the platform is unharmed."""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fnkit.platform.control.deployments.tool_process import build_isolation
from tests.support.builds import run_tool, running_tool
from tests.support.data_plane import children
from tests.support.isolation_levels import level_parameters
from tests.support.waiting import wait_until

USER = 54_331
MEBIBYTE = 1024 * 1024


def levels() -> list[tuple[int, str]]:
    known = ["namespaces", "landlock", "none"]
    available = known[known.index(build_isolation()) :]
    users = [0, USER] if os.geteuid() == 0 else [0]
    return [(user, level) for user in users for level in available if level != "none" or not user]


pytestmark = [pytest.mark.slow]


@pytest.fixture(params=level_parameters(levels()))
def place(request: pytest.FixtureRequest) -> tuple[int, str]:
    user, level = request.param
    return user, level


@pytest.fixture
def folder() -> Iterator[Path]:
    """A directory that other users can enter, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="fnkit-build-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def run(place: tuple[int, str], folder: Path) -> Callable[..., dict[str, object]]:
    """Run a program as the tool of a build. Its mark is found in the arguments of what it leaves behind."""

    def call(source: str, **limits: float) -> dict[str, object]:
        answer = run_tool(folder / "data", place, source, **limits)
        assert answer["left"] == [".f-1.building", "f-1"], "nothing else"
        assert processes_with(str(folder)) == []
        return answer

    return call


def processes_with(mark: str) -> list[str]:
    """Return the command lines of running processes that name a path."""
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdecimal() and int(process.name) != os.getpid():
            try:
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if mark in line:
                found.append(line)
    return found


def skip_without_walls(place: tuple[int, str]) -> None:
    if place[1] == "none":
        pytest.skip("nothing confines a tool at this level")


def test_tool_writes_a_program_and_its_output_is_logged(run: Callable[..., dict[str, object]]) -> None:
    answer = run(
        "import os, sys\n"
        "open('program', 'w').write('built')\n"
        "print('first', os.path.join(os.path.dirname(sys.argv[0]), 'main.go:3: error'), flush=True)\n"
        "os.write(2, b'\\x1b[31msecond\\x1b[0m\\n')\n"
    )
    assert (answer["error"], answer["log"]) == ("", "first main.go:3: error\nsecond")


def test_failing_tool_fails_the_build_with_the_start_and_the_end_of_its_output(
    run: Callable[..., dict[str, object]],
) -> None:
    answer = run("import sys\nfor n in range(5000): print('line', n)\nsys.exit(7)\n")
    lines = str(answer["log"]).splitlines()
    assert str(answer["error"]).endswith(" ended with exit code 7.")
    assert (lines[0], lines[-1], len(lines)) == ("line 0", "line 4999", 501)
    assert "(4500 lines are left out.)" in lines


_READ = """
import json, os, pathlib
data, platform = pathlib.Path(os.environ["DATA"]), os.environ["PLATFORM"]
def attempt(action):
    try:
        return str(action())
    except Exception as error:
        return type(error).__name__
print(json.dumps({
    "key": attempt((data / "platform.json").read_text),
    "list": attempt(lambda: os.listdir(data)),
    "other": attempt((data / "caches/other/file").read_text),
    "shadow": attempt(pathlib.Path("/etc/shadow").read_text),
    "root": attempt(pathlib.Path("/root/.profile").read_text),
    "write": attempt(lambda: open("/usr/fnkit-was-here", "w")),
    "source": attempt(lambda: open(os.path.dirname(__file__) + "/new", "w")),
    "platform": attempt(pathlib.Path(f"/proc/{platform}/environ").read_bytes),
    "signal": attempt(lambda: os.kill(int(platform), 0)),
}))
print(sorted(os.environ), os.getuid())
"""


def test_tool_reaches_no_file_of_the_platform_and_no_secret(
    run: Callable[..., dict[str, object]], place: tuple[int, str]
) -> None:
    skip_without_walls(place)
    answer = run(_READ)
    log = str(answer["log"])
    assert "of another function" not in log
    assert "the key of the platform" not in log
    assert "SECRET_OF_THE_USER" not in log
    for name in ("key", "list", "other", "shadow", "root", "write", "source", "platform"):
        assert any(
            f'"{name}": "{error}"' in log for error in ("PermissionError", "FileNotFoundError", "OSError")
        ), name
    if os.geteuid() == 0 and not place[0]:
        assert log.endswith("54330"), "a user of its own"
        assert '"signal": "PermissionError"' in log or '"signal": "ProcessLookupError"' in log


def test_tool_that_forks_without_end_is_ended(
    run: Callable[..., dict[str, object]], place: tuple[int, str]
) -> None:
    skip_without_walls(place)
    answer = run(
        "import os, time\nwhile True:\n    try: os.fork()\n    except OSError: time.sleep(1)\n", processes=100
    )
    assert answer["error"] == "The build was ended: it had more than 100 processes."


def test_memory_of_all_processes_together_is_bounded(run: Callable[..., dict[str, object]]) -> None:
    source = "import os, time\nfor _ in range(3): os.fork()\nmemory = b'x' * (60 << 20)\ntime.sleep(60)\n"
    answer = run(source, memory=200 * MEBIBYTE)
    assert answer["error"] == "The build was ended: it used more than 200 MiB of memory."


def test_shared_memory_counts(run: Callable[..., dict[str, object]]) -> None:
    source = (
        "import mmap, time\nm = mmap.mmap(-1, 400 << 20)\n"
        "for _ in range(400): m.write(b'x' * (1 << 20))\ntime.sleep(60)\n"
    )
    answer = run(source, memory=200 * MEBIBYTE)
    assert answer["error"] == "The build was ended: it used more than 200 MiB of memory."


def test_tool_that_fills_the_disk_is_ended(run: Callable[..., dict[str, object]]) -> None:
    source = (
        "import tempfile, time\nfor n in range(1000):\n"
        "    file = tempfile.NamedTemporaryFile(delete=False)\n    file.write(bytes(10 << 20))\n    file.close()\n"
        "    time.sleep(0.02)\n"
    )
    answer = run(source, disk=200 * MEBIBYTE)
    assert answer["error"] == "The build was ended: it wrote more than 200 MiB."


def test_build_ends_when_its_time_is_over_although_the_tool_has_closed_its_output(
    run: Callable[..., dict[str, object]],
) -> None:
    answer = run("import os, time\nfor n in (0, 1, 2): os.close(n)\ntime.sleep(60)\n", seconds=1.0)
    assert answer["error"] == "The build was ended: it took longer than 1 seconds."
    assert float(str(answer["seconds"])) < 20


def test_tool_that_writes_without_end_is_ended(run: Callable[..., dict[str, object]]) -> None:
    answer = run("import os\nwhile True: os.write(1, b'words of a tool ' * 4096 + b'\\n')\n")
    assert answer["error"] == "The build was ended: its output is larger than 32 MiB."
    assert len(str(answer["log"])) < 4 * MEBIBYTE


def test_daemon_of_a_tool_ends_with_it(run: Callable[..., dict[str, object]], folder: Path) -> None:
    source = (
        "import os, sys\nopen('program', 'w').write('x')\nif os.fork() == 0:\n    os.setsid()\n"
        "    if os.fork() == 0:\n"
        f"        os.execv(sys.executable, [sys.executable, '-c', 'import time; time.sleep(60)', '{folder}'])\n"
        "    os._exit(0)\nos.wait()\n"
    )
    assert run(source)["error"] == ""


@pytest.mark.parametrize("target", ["/etc/passwd", "DATA/platform.json"])
def test_link_in_place_of_the_program_is_refused(run: Callable[..., dict[str, object]], target: str) -> None:
    answer = run(f"import os\nos.symlink('{target}'.replace('DATA', os.environ['DATA']), 'program')\n")
    assert answer["error"] == "The build succeeded, but there is no program."


def test_tool_ends_when_the_platform_is_killed(place: tuple[int, str], folder: Path) -> None:
    mark = f"{folder}-tool"
    sleep = f"[sys.executable, '-c', 'import time; time.sleep(90)', '{mark}']"
    source = f"import os, sys\nos.execv(sys.executable, {sleep})\n"
    with running_tool(folder / "data", place, source) as platform:
        wait_until(lambda: any(line.endswith(f"{mark} ") for line in processes_with(mark)), what="the tool runs")
        platform.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(line.endswith(f"{mark} ") for line in processes_with(mark)), what="it has ended")


def test_tool_ends_with_the_process_that_watches_it(place: tuple[int, str], folder: Path) -> None:
    mark = f"{folder}-tool"
    sleep = f"[sys.executable, '-c', 'import time; time.sleep(90)', '{mark}']"
    source = f"import os, sys\nos.execv(sys.executable, {sleep})\n"
    with running_tool(folder / "data", place, source) as platform:
        wait_until(lambda: any(line.endswith(f"{mark} ") for line in processes_with(mark)), what="the tool runs")
        [watcher] = children(platform.pid)
        os.kill(watcher, signal.SIGKILL)
        wait_until(lambda: not any(line.endswith(f"{mark} ") for line in processes_with(mark)), what="it has ended")
        answer = json.loads(platform.communicate(timeout=60)[0])
    assert answer["error"] == "The build was ended: the process that watches it was killed."
