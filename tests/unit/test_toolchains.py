"""What tests without their toolchain do: they are skipped, and the run ends with how to install it; CI fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.source_tree import REPOSITORY
from tests.support.toolchains import installation_line

TESTS = {
    "php": "tests/integration/test_php_worker.py::test_handler_gets_the_response_of_the_real_runtime",
    "composer": "tests/integration/builds/test_interpreted_builds.py::test_error_of_composer_is_in_the_log",
    "rust": "tests/unit/toolchains/test_resolution.py::test_program_of_this_machine_is_a_real_one",
}


def run_tests(path: Path, tests: list[str], **variables: str) -> tuple[int, list[str]]:
    """Run tests with only these programs on PATH; return the exit code and the lines of the output."""
    environ = {"PATH": os.fspath(path), "HOME": os.fspath(path), "RUSTUP_HOME": os.fspath(path), **variables}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    done = subprocess.run(command, cwd=REPOSITORY, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.long
@pytest.mark.slow
def test_run_ends_with_the_installation_of_what_skipped_tests_lacked(tmp_path: Path) -> None:
    code, lines = run_tests(tmp_path, list(TESTS.values()))
    assert code == 0, lines
    heading, line, counts = lines[-3:]
    assert "toolchains that skipped tests lacked" in heading
    assert (
        "apt-get install -y --no-install-recommends php-cli php-curl php-mbstring php-xml php-zip composer" in line
    )
    assert "rustup" in line
    assert " 2 passed, " in counts, "Node and Go are beside fnkit"


@pytest.mark.slow
@pytest.mark.parametrize("need", TESTS)
def test_missing_toolchain_fails_in_ci(tmp_path: Path, need: str) -> None:
    code, lines = run_tests(tmp_path, [TESTS[need]], CI="true")
    assert code == 1, lines
    assert "skipped" not in lines[-1]
    assert "toolchains that skipped tests lacked" not in "".join(lines)


def test_line_names_only_what_is_missing() -> None:
    assert installation_line(["needs root", "Node is not installed"]) == ""
    composer = installation_line(["composer is not installed [needs composer]", "needs root"])
    assert composer.endswith("apt-get install -y --no-install-recommends composer unzip")
    rust = installation_line(["No Rust was found [needs rust]"])
    assert "rustup" in rust
    assert "php" not in rust
