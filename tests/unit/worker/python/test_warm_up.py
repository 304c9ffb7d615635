"""Warming up a pre-warmed worker leaves no state that a handler could observe."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fnkit import worker

FOLDER = Path(worker.__file__).parent / "python"

PROGRAM = """
import importlib, os, sys, typing, dataclasses, collections.abc
sys.path.insert(0, sys.argv[1])
import launch
warm_up = launch.load('warm_up')
del sys.path[0]
def state():
    return set(sys.modules), set(sys.path_importer_cache), os.listdir("/proc/self/fd"), list(sys.path), sys.stdout
before = state()
warm_up.warm_up(sys.argv[1])
after = state()
assert before == after, [a for a, b in zip(after, before) if a != b]
"""


def test_warm_up_leaves_modules_descriptors_and_streams_unchanged() -> None:
    process = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, str(FOLDER)], capture_output=True, text=True, check=False
    )

    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")
