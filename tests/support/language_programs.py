"""The programs that run workers of other languages here: Node and PHP, in each version that is found.

``FNKIT_TEST_NODES`` lists directories with further programs named ``node``, or such programs, separated by colons.
Without any, tests are skipped, but fail where ``CI`` is set.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

import pytest

import fnkit.worker.node
import fnkit.worker.php

NODE_VERSION_MIN: Final = 20
"""Node 18 works too, save that it takes a file without a `type` for CommonJS."""
NODE_WORKER: Final = Path(fnkit.worker.node.__file__).with_name(fnkit.worker.node.PROGRAM_NAME)
PHP_WORKER: Final = Path(fnkit.worker.php.__file__).with_name(fnkit.worker.php.PROGRAM_NAME)
_INSTALL_PHP: Final = "apt-get install -y --no-install-recommends php-cli php-mbstring"


@cache
def node_programs() -> dict[str, str]:
    """Return the path of each Node, by its major version such as ``node22``."""
    listed = [Path(entry) for entry in os.environ.get("FNKIT_TEST_NODES", "").split(":") if entry]
    candidates = [str(path / "node" if path.is_dir() else path) for path in listed]
    if on_path := shutil.which("node"):
        candidates.insert(0, os.path.realpath(on_path))
    found: dict[str, str] = {}
    for candidate in candidates:
        version = subprocess.run(
            [candidate, "--version"], check=True, capture_output=True, text=True, timeout=60
        ).stdout
        major = int(version.removeprefix("v").partition(".")[0])
        if major >= NODE_VERSION_MIN:
            found.setdefault(f"node{major}", candidate)
    return found


def node_command(program: str) -> list[str]:
    """Return the command of the Node worker."""
    return [program, *fnkit.worker.node.NODE_FLAGS, str(NODE_WORKER)]


def node_parameters() -> list[object]:
    """Return the Node programs as parameters of tests, or one that skips."""
    programs = node_programs()
    return [pytest.param(path, id=name) for name, path in sorted(programs.items())] or [
        pytest.param("", id="no-node", marks=_missing("Node 20 or later is not on PATH"))
    ]


def php_command() -> list[str]:
    """Return the command of the PHP worker. Skips the test if there is no PHP."""
    program = shutil.which("php")
    if program is None:
        reason = f"PHP is not on PATH; this installs it: {_INSTALL_PHP}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    settings = [text for name, value in fnkit.worker.php.INI_SETTINGS for text in ("-d", f"{name}={value}")]
    return [os.path.realpath(program), *settings, str(PHP_WORKER)]


def _missing(reason: str) -> pytest.MarkDecorator:
    # A test that gets an empty path fails by itself.
    return pytest.mark.skipif(not os.environ.get("CI"), reason=reason)


def runtime_of(language: str) -> dict[str, object]:
    """Return the fields of a route whose function is in this language. Skips the test if nothing runs it here."""
    if language == "python":
        return {}
    if language == "php":
        return {"language": "PHP", "runtime": "php84", "interpreter": php_command()[0]}
    programs = node_programs()
    if not programs:
        pytest.skip("Node 18 or later is not on PATH")
    return {"language": "Node", "runtime": "node22", "interpreter": max(programs.items())[1]}
