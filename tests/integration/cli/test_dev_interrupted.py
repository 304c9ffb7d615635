"""Ctrl-C in ``fnkit dev`` at any moment: it ends with 130, and no process of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.command import FNKIT
from tests.support.processes import descendants, is_alive
from tests.support.project_tree import write_files
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.slow]

HANDLER = "from fnkit import function\n\n\n@function\ndef orders(event, context):\n    return 'orders'\n"
SLOW_HANDLER = f"import time\n\nprint('importing', flush=True)\ntime.sleep(60)\n{HANDLER}"


class InterruptedSession:
    """A session that gets Ctrl-C, as every process of a terminal's foreground group does."""

    def __init__(self, project: Path, home: Path, *options: str) -> None:
        self.home = home
        self.project = project
        self.output = home.with_name("output")
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [str(FNKIT), "dev", *options],
                cwd=project,
                env=self._environment(home),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @staticmethod
    def _environment(home: Path) -> dict[str, str]:
        temporary = home.with_name("temporary")
        temporary.mkdir()
        own = {"FNKIT_HOME": str(home), "FNKIT_CACHE": str(home / "cache"), "TMPDIR": str(temporary)}
        return {**os.environ, **own}

    def has_file(self, pattern: str) -> bool:
        """Return whether the data directory of its platform has a file."""
        return any((self.home / "cache/dev").glob(f"*/{pattern}"))

    def has_printed(self, text: str) -> bool:
        """Return whether it has shown a text."""
        return text in self.output.read_text()


MOMENTS: dict[str, Callable[[InterruptedSession], object]] = {
    "starting": lambda session: session.home.joinpath("cache").exists(),
    "supervisor": lambda session: descendants(session.process.pid),
    "run file": lambda session: session.has_file("run.json"),
    "database": lambda session: session.has_file("platform.db"),
    "archive": lambda session: session.has_file("blobs/*"),
    "code": lambda session: session.has_file("deployments/*"),
    "importing": lambda session: session.has_file("logs/*-*/*"),
    "serving": lambda session: session.has_printed("is served at"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_interrupt_leaves_nothing_behind(tmp_path: Path, moment: str) -> None:
    handler = SLOW_HANDLER if moment == "importing" else HANDLER
    project = write_files(tmp_path / "project", {"fnkit.toml": 'name = "shop"\n', "orders.py": handler})
    session = InterruptedSession(project, tmp_path / "home")
    interrupt_when(session, MOMENTS[moment])


def test_interrupt_during_a_reload_leaves_nothing_behind(tmp_path: Path) -> None:
    project = write_files(tmp_path / "project", {"fnkit.toml": 'name = "shop"\n', "orders.py": HANDLER})
    session = InterruptedSession(project, tmp_path / "home")
    wait_until(lambda: session.has_printed("is served at"), what="it serves")
    (project / "orders.py").write_text(SLOW_HANDLER)
    interrupt_when(session, lambda session: session.has_printed("importing"))


def test_interrupt_during_a_build_leaves_nothing_behind(tmp_path: Path) -> None:
    project = write_files(
        tmp_path / "project",
        {
            "fnkit.toml": 'name = "shop"\n\n[[function]]\nname = "hello"\nruntime = "php84"\npath = "php"\n'
            'handler = "handler.handle"\nbuild = "touch started; sleep 60"\n',
            "php/handler.php": "<?php\nfunction handle($event, $context) { return 'hello'; }\n",
        },
    )
    session = InterruptedSession(project, tmp_path / "home", "--allow-builds")
    interrupt_when(session, has_started_build)


def has_started_build(session: InterruptedSession) -> bool:
    """Return whether the command of the build runs, wherever it does."""
    return any("started" in files for _, _, files in os.walk(session.home.parent))


def interrupt_when(session: InterruptedSession, condition: Callable[[InterruptedSession], object]) -> None:
    """Interrupt a session once a condition holds, and check what is left."""
    try:
        wait_until(lambda: condition(session) or session.process.poll() is not None, what="the moment")
        assert session.process.poll() is None, session.output.read_text()
        started = descendants(session.process.pid)
        os.killpg(session.process.pid, signal.SIGINT)
        assert session.process.wait(timeout=60) == 130, session.output.read_text()
    finally:
        session.process.kill()  # its platform ends with it
        session.process.wait()
    assert "Traceback" not in session.output.read_text()
    wait_until(lambda: not any(is_alive(pid) for pid in started), what="nothing is left")
    assert not session.has_file("platform.db")
