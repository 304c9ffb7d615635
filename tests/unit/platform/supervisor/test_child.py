"""What the platform's processes inherit from who started them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Prints whether KEYCTL_SEARCH finds the key in the session keyring.
SEARCH = """
import ctypes, os
number = {"x86_64": 250, "aarch64": 219}[os.uname().machine]
print(ctypes.CDLL(None).syscall(number, 10, -3, b"user", b"fnkit-login-key", 0) > 0)
"""
# Joins a session keyring with a key in it, and then starts the program as the supervisor does.
START = """
import ctypes, os, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
number = {"x86_64": (248, 250), "aarch64": (217, 219)}[os.uname().machine]
if libc.syscall(number[1], 1, b"login-session") < 0:
    sys.exit(77)
if libc.syscall(number[0], b"user", b"fnkit-login-key", b"secret", 6, -3) < 0:
    sys.exit(77)
subprocess.run([sys.executable, "-m", *sys.argv[1:-1], str(os.getpid()), sys.argv[-1]], check=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="keyrings are Linux's")
def test_session_keyring_is_not_inherited(tmp_path: Path) -> None:
    (tmp_path / "search_key.py").write_text(SEARCH)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    arguments = [sys.executable, "-c", START, "fnkit.platform.supervisor.child", "search_key"]

    shown = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    if shown.returncode == 77:
        pytest.skip("this system does not allow keyrings")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout == "False\n"
