"""The programs that run workers of other languages here: Node and PHP, in each version that is found.

Node is looked for on ``PATH`` and among the development dependencies. ``FNKIT_TEST_NODES`` lists directories with
further programs named ``node``, or such programs, separated by colons; ``.ci/run`` sets it.
Without any, tests are skipped, but fail where ``CI`` is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import fnkit.worker.node
import fnkit.worker.php
from fnkit.toolchains.packaged_programs import find_packaged_program
from tests.support.toolchains import missing_toolchain

NODE_VERSION_MIN: Final = 20
"""Node 18 works too, save that it takes a file without a `type` for CommonJS."""
NODE_WORKER: Final = Path(fnkit.worker.node.__file__).with_name(fnkit.worker.node.PROGRAM_NAME)
PHP_WORKER: Final = Path(fnkit.worker.php.__file__).with_name(fnkit.worker.php.PROGRAM_NAME)


@cache
def node_programs() -> dict[str, str]:
    """Return the path of each Node, by its major version such as ``node22``."""
    listed = [Path(entry) for entry in os.environ.get("FNKIT_TEST_NODES", "").split(":") if entry]
    candidates = [str(path / "node" if path.is_dir() else path) for path in listed]
    if on_path := shutil.which("node"):
        candidates.insert(0, os.path.realpath(on_path))
    if packaged := find_packaged_program("node"):
        candidates.append(str(packaged))
    found: dict[str, str] = {}
    for candidate in candidates:
        version = node_version(candidate)
        if version >= NODE_VERSION_MIN:
            found.setdefault(f"node{version}", candidate)
    return found


@cache
def node_version(program: str) -> int:
    """Return the major version of a Node."""
    command = [program, "--version"]
    output = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    return int(output.removeprefix("v").partition(".")[0])


def node_parameters() -> list[str]:
    """Return the names of the Node programs, or one name without a program."""
    return sorted(node_programs()) or ["node"]


def node_command(name: str = "") -> list[str]:
    """Return the command of the worker in a Node such as ``node22``, by default the newest. Skips without any."""
    programs = node_programs()
    if not programs:
        missing_toolchain("Node 20 or later is not on PATH")
    return [programs[name or max(programs)], *fnkit.worker.node.NODE_FLAGS, str(NODE_WORKER)]


def php_command() -> list[str]:
    """Return the command of the PHP worker. Skips the test if there is no PHP."""
    program = shutil.which("php")
    if program is None:
        missing_toolchain("PHP is not on PATH", need="php")
    settings = [text for name, value in fnkit.worker.php.INI_SETTINGS for text in ("-d", f"{name}={value}")]
    return [os.path.realpath(program), *settings, str(PHP_WORKER)]


def runtime_of(language: str) -> dict[str, object]:
    """Return the fields of a route whose function is in this language. Skips the test if nothing runs it here."""
    if language == "python":
        return {}
    if language == "php":
        return {"language": "PHP", "runtime": "php84", "interpreter": php_command()[0]}
    return {"language": "Node", "runtime": "node22", "interpreter": node_command()[0]}
