"""Compiled libraries are made once for each user, and are not used if another user could have written them."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from fnkit.platform.control.deployments.build_job import BuildJob, BuildStopped
from fnkit.platform.control.deployments.compiled_libraries import libraries_directory, provide_library
from tests.support.builds import Builder

MONTH = 31 * 24 * 3600


@pytest.fixture
def job(builder: Builder) -> BuildJob:
    return builder.job("Go", "Handle", {})


class Compiler:
    """Makes a directory with one file, as a compiler would."""

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self._folder = folder

    def compile(self) -> AbstractContextManager[Path]:
        return self._compile()

    @contextmanager
    def _compile(self) -> Iterator[Path]:
        self.count += 1
        compiled = self._folder / f"compiled-{self.count}"
        (compiled / "inner").mkdir(parents=True)
        (compiled / "inner/package").write_text("compiled")
        yield compiled


@pytest.fixture
def compiler(tmp_path: Path) -> Compiler:
    return Compiler(tmp_path)


def content(library: Path | None) -> str:
    assert library is not None
    return (library / "inner/package").read_text()


def test_library_is_made_once(job: BuildJob, compiler: Compiler) -> None:
    assert job.libraries is not None
    assert provide_library(job, "go-1", compiler.compile) == job.libraries / "go-1"
    assert content(provide_library(job, "go-1", compiler.compile)) == "compiled"
    assert compiler.count == 1
    assert content(provide_library(job, "go-2", compiler.compile)) == "compiled"
    assert compiler.count == 2


def test_builds_at_the_same_time_wait_for_one(job: BuildJob, compiler: Compiler) -> None:
    threads = [threading.Thread(target=provide_library, args=(job, "go-1", compiler.compile)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert compiler.count == 1


def test_interrupted_library_is_made_again(job: BuildJob, compiler: Compiler) -> None:
    def interrupted() -> AbstractContextManager[Path]:
        assert job.libraries is not None
        (job.libraries / ".go-1.new/half").mkdir(parents=True)  # what a kill while it is moved leaves
        raise BuildStopped

    with pytest.raises(BuildStopped):
        provide_library(job, "go-1", interrupted)
    library = provide_library(job, "go-1", compiler.compile)
    assert content(library) == "compiled"
    assert library is not None
    assert [path.name for path in library.iterdir()] == ["inner"]


def test_library_that_is_not_used_for_a_month_is_removed(job: BuildJob, compiler: Compiler) -> None:
    for name in ("go-1", "go-2"):
        library = provide_library(job, name, compiler.compile)
        assert library is not None
        os.utime(library, (time.time() - MONTH, time.time() - MONTH))
    provide_library(job, "go-2", compiler.compile)
    provide_library(job, "go-3", compiler.compile)
    assert job.libraries is not None
    assert sorted(path.name for path in job.libraries.iterdir() if path.is_dir()) == ["go-2", "go-3"]


def replace_by_link(libraries: Path) -> None:
    elsewhere = libraries.with_name("elsewhere")
    elsewhere.mkdir()
    libraries.symlink_to(elsewhere)


def make_writable_for_others(libraries: Path) -> None:
    libraries.mkdir()
    libraries.chmod(0o777)


def give_to_another_user(libraries: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give it away")
    libraries.mkdir()
    os.chown(libraries, 54_331, 54_331)


def make_a_file(libraries: Path) -> None:
    libraries.write_text("")


@pytest.mark.parametrize("prepare", [replace_by_link, make_writable_for_others, give_to_another_user, make_a_file])
def test_directory_that_others_can_write_to_is_not_used(
    job: BuildJob, compiler: Compiler, prepare: Callable[[Path], None]
) -> None:
    assert job.libraries is not None
    job.libraries.parent.mkdir(parents=True)
    prepare(job.libraries)
    assert provide_library(job, "go-1", compiler.compile) is None
    assert compiler.count == 0


def test_directory_is_in_the_cache_of_the_user(tmp_path: Path) -> None:
    assert libraries_directory({"FNKIT_CACHE": str(tmp_path)}) == tmp_path / "libraries"
    assert libraries_directory({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "fnkit/libraries"
