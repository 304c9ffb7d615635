"""Resolution of each runtime to an interpreter on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.control.deployments.toolchains import Toolchains

CURRENT_RUNTIME = f"python3{sys.version_info.minor}"


def test_runtime_of_this_interpreter_resolves_to_its_real_program() -> None:
    toolchain = Toolchains().resolve(CURRENT_RUNTIME)
    program = toolchain.interpreter.path
    answer = subprocess.run(
        [program, "-c", "import sys; print(sys.version_info[1])"], capture_output=True, check=True
    )

    assert toolchain.warning is None
    assert int(answer.stdout) == sys.version_info.minor
    assert Path(program).is_absolute()
    assert "/shims/" not in program
    assert not Path(program).is_symlink()
    assert re.fullmatch(rf"cpython-3\.{sys.version_info.minor}-\w+-\w+(-\w+)?", toolchain.interpreter.target)


@pytest.fixture
def only_current_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hides every Python except the one that runs the tests."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("only_current_python")
def test_missing_version_falls_back_to_the_nearest_with_a_warning() -> None:
    other = "python312" if CURRENT_RUNTIME != "python312" else "python313"
    toolchain = Toolchains().resolve(other)

    assert toolchain.interpreter.version == sys.version_info[:2]
    assert toolchain.warning is not None
    assert toolchain.warning.startswith(f"{other} runs on Python 3.{sys.version_info.minor}")
    assert Toolchains().targets()[other] == Toolchains().targets()[CURRENT_RUNTIME]


@pytest.mark.usefixtures("only_current_python")
def test_strict_mode_rejects_the_nearest_and_suggests_an_install() -> None:
    other = "python312" if CURRENT_RUNTIME != "python312" else "python313"
    with pytest.raises(PlatformError) as raised:
        Toolchains(strict=True).resolve(other)

    assert raised.value.code == "no-toolchain"
    assert "uv python install" in str(raised.value.hint)


@pytest.mark.usefixtures("only_current_python")
def test_python_2_has_no_target() -> None:
    assert "python" not in Toolchains().targets()


def test_program_that_is_not_python_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / f"python3.{sys.version_info.minor}"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert Toolchains().resolve(CURRENT_RUNTIME).interpreter.path != str(fake)
