"""Runs a driver program written with an SDK of another language and returns the steps it completed."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.control_process import zip_archive

__all__ = ["ARCHIVE", "drive"]

ARCHIVE = base64.b64encode(
    zip_archive(
        {
            "handler.py": "import os\n"
            "def handle(event, context):\n"
            "    return ' '.join(os.environ[name] for name in ('OWN', 'SECRET', 'SHARED', 'KEY'))\n"
        }
    )
).decode()
"""A handler that returns its environment variables; base64, to be passed as an argument."""


def drive(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Run a driver and return the names of its steps. A failed step fails the test with the driver's output."""
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.removeprefix("ok").strip() for line in done.stdout.splitlines() if line.startswith("ok")]
