"""Runs a driver that was written with another language's SDK and shows which of its steps held."""

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
"""Code that answers with what it finds in its environment; base64, to be an argument."""


def drive(command: Sequence[str], environment: Mapping[str, str], folder: Path) -> list[str]:
    """Run it to its end and return the names of its steps; one that did not hold fails the test with its words."""
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
