"""Output of the platform's processes in their logs."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from fnkit.platform.rotating_log import RotatingLogFile
from fnkit.platform.supervisor.child_process import ChildProcess
from tests.support.waiting import wait_until_async

PROGRAM = r"""
import sys
sys.stdout.buffer.write(b"\x1b[2Jone \xc2\x9b \xff\r\n\ttx" + "é\n".encode())
sys.stdout.flush()
sys.stdin.read()
"""


def test_control_characters_in_output_are_escaped(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(PROGRAM)
    log = tmp_path / "noisy.log"
    log.touch()
    child = ChildProcess(
        "noisy",
        "noisy",
        settings=b"",
        environment={"PYTHONPATH": str(tmp_path)},
        descriptors=(),
        output_log=RotatingLogFile(log),
        supervisor_log=RotatingLogFile(tmp_path / "supervisor.log"),
        on_change=lambda _pid: None,
    )

    async def run() -> None:
        running = asyncio.create_task(child.run())
        await wait_until_async(lambda: log.read_text().count("\n") >= 2)
        child.stop(signal.SIGKILL)
        await running

    asyncio.run(run())

    assert log.read_text().startswith("\\x1b[2Jone \\x9b \\xff\\r\n\ttxé\n")
