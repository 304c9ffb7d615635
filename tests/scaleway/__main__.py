"""``python -m tests.scaleway [--output FOLDER] [--runtime NAME]``: records one run against the real API."""

from __future__ import annotations

import os
import signal
import sys

from tests.scaleway.program import main


def write(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as after Ctrl-C
sys.exit(main(sys.argv[1:], os.environ, write))
