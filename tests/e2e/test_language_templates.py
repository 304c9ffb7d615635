"""Templates in other languages than Python: they are bundled as they are, and their own tests pass."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.toolchains import require_program

ENVIRONMENT = dict(os.environ)
"""The machine's, with the home directory in which toolchains have their settings."""
SHIPPED = {
    "node": {"package.json", "src/hello.js"},
    "php": {"hello.php"},
    "go": {"go.mod", "hello.go"},
    "rust": {"Cargo.toml", "src/lib.rs"},
}
OWN_TESTS = {
    "node": ("npm", "test"),
    "php": ("php", "tests/hello_test.php"),
    "go": ("go", "test", "./..."),
    "rust": ("cargo", "test", "--quiet"),
}


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("template", SHIPPED)
def test_template_is_bundled(tmp_path: Path, template: str) -> None:
    fnkit = Command({"FNKIT_CACHE": str(tmp_path / "cache")})
    fnkit("new", "Café 2", "--template", template, cwd=tmp_path).ok()
    project = tmp_path / "Café 2"
    assert fnkit("scan", "--json", cwd=project).ok().json()["notes"] == []
    [bundle] = fnkit("bundle", "--json", cwd=project).ok().json()["bundles"]
    with zipfile.ZipFile(bundle["path"]) as archive:
        assert set(archive.namelist()) == SHIPPED[template]
    assert bundle["notes"] == []


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("template", OWN_TESTS)
def test_template_passes_its_own_tests(tmp_path: Path, template: str) -> None:
    program, *arguments = OWN_TESTS[template]
    found = require_program(program)
    Command({})("new", template, "--template", template, cwd=tmp_path).ok()  # "go" is no path of a module
    run = subprocess.run(
        [found, *arguments], cwd=tmp_path / template, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
