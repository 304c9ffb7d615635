"""A build writes bytecode beside the sources, compiled by the function's interpreter."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from fnkit.platform.control.deployments.archive import compile_sources
from fnkit.platform.control.deployments.build import build
from fnkit.platform.control.deployments.build_job import BuildJob, BuildLog, BuildStopped


def job(tmp_path: Path, files: dict[str, str], interpreter: str | None = sys.executable) -> BuildJob:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        link = zipfile.ZipInfo("linked.py")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "main.py")
    return BuildJob(
        runtime="python311",
        handler="main.handle",
        archive=content,
        target=tmp_path / "f-1",
        uid=0,
        interpreter=interpreter,
        log=BuildLog(tmp_path / "logs", 1, lambda: "2026-01-01T00:00:00.000000Z"),
        progress=lambda _: None,
    )


def compiled(folder: Path) -> set[str]:
    tag = sys.implementation.cache_tag
    return {
        f"{path.parent.parent.relative_to(folder)}/{path.name.removesuffix(f'.{tag}.pyc')}"
        for path in folder.rglob("*.pyc")
    }


def test_modules_except_tests_of_packages_have_bytecode(tmp_path: Path) -> None:
    one = job(
        tmp_path,
        {
            "main.py": "import other",
            "lib/other.py": "",
            "package/p/__init__.py": "",
            "package/p/tests/test_p.py": "",
            "broken.py": "def (",
            "nul.py": "\0",
            "not-a-package/data.py": "",
        },
    )
    build(one)

    assert compiled(one.target) == {"./main", "lib/other", "package/p/__init__"}


def test_import_uses_the_compiled_bytecode(tmp_path: Path) -> None:
    one = job(tmp_path, {"main.py": "import os\nprint(os.path.basename(__cached__), __file__)\n"})
    build(one)
    source = one.target / "main.py"
    source.write_text("raise SystemExit('compiled again')")

    run = [sys.executable, "-c", "import sys; sys.path.insert(0, sys.argv[1]); import main", str(one.target)]
    process = subprocess.run(run, capture_output=True, text=True, check=False)

    assert process.stdout.split() == [f"main.{sys.implementation.cache_tag}.pyc", str(source)], process.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run deployments as separate users")
def test_bytecode_is_compiled_as_the_user_of_the_function(tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o711)
    one = replace(job(tmp_path, {"main.py": "", "a/b.py": ""}), uid=54321)
    build(one)

    owners = {path.stat().st_uid for path in one.target.rglob("*.pyc")}
    assert (compiled(one.target), owners) == ({"./main", "a/b"}, {54321})


def test_build_without_interpreter_writes_no_bytecode(tmp_path: Path) -> None:
    one = job(tmp_path, {"main.py": ""}, interpreter=None)
    build(one)

    assert compiled(one.target) == set()


def test_missing_interpreter_is_logged_and_the_build_succeeds(tmp_path: Path) -> None:
    one = job(tmp_path, {"main.py": ""}, interpreter=str(tmp_path / "missing"))
    build(one)

    assert compiled(one.target) == set()
    assert "Compiled nothing" in "".join(path.read_text() for path in (tmp_path / "logs").rglob("*.jsonl"))


def test_stopped_build_does_not_wait_for_the_compiler(tmp_path: Path) -> None:
    program = tmp_path / "slow"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    one = job(tmp_path, {}, interpreter=str(program))
    folder = tmp_path / "code"
    folder.mkdir()
    (folder / "main.py").touch()
    threading.Timer(0.1, one.stop.set).start()

    with pytest.raises(BuildStopped):
        compile_sources(one, folder)
