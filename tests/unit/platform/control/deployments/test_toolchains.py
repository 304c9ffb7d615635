"""The interpreter of each runtime on the machine that runs the tests."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.control.deployments.toolchains import Toolchains

OWN = f"python3{sys.version_info.minor}"


def test_the_running_interpreter_s_runtime_is_found_as_a_real_program() -> None:
    toolchain = Toolchains().resolve(OWN)
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
def only_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose only Python is the one that runs the tests."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("only_this_one")
def test_the_nearest_runs_what_is_missing_with_a_warning() -> None:
    other = "python312" if OWN != "python312" else "python313"
    toolchain = Toolchains().resolve(other)

    assert toolchain.interpreter.version == sys.version_info[:2]
    assert toolchain.warning is not None
    assert toolchain.warning.startswith(f"{other} runs on Python 3.{sys.version_info.minor}")
    assert Toolchains().targets()[other] == Toolchains().targets()[OWN]


@pytest.mark.usefixtures("only_this_one")
def test_strictness_refuses_the_nearest_and_says_how_to_get_the_right_one() -> None:
    other = "python312" if OWN != "python312" else "python313"
    with pytest.raises(PlatformError) as refusal:
        Toolchains(strict=True).resolve(other)

    assert refusal.value.code == "no-toolchain"
    assert "uv python install" in str(refusal.value.hint)


@pytest.mark.usefixtures("only_this_one")
def test_python_2_runs_nowhere() -> None:
    assert "python" not in Toolchains().targets()


def test_a_program_that_is_no_python_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / f"python3.{sys.version_info.minor}"
    fake.write_text("#!/bin/sh\nexit 3\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    assert Toolchains().resolve(OWN).interpreter.path != str(fake)
