"""The log of the platform's processes: one line per message."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import logging
from fnkit.platform.model.process_log import standard_error_handler
logging.basicConfig(level=logging.INFO, handlers=[standard_error_handler()])
logging.getLogger("example").warning("a%s", "\\n2026-01-01 forged \\x1b[2J")
"""


def test_message_stays_on_one_line_whatever_it_quotes() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    (line,) = done.stderr.splitlines()
    assert line.endswith(r"WARNING example: a\n2026-01-01 forged \x1b[2J")
