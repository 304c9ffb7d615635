"""Builds of functions, run directly or by another user, and the toolchains that they need."""

from __future__ import annotations

import functools
import io
import json
import os
import pwd
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from fnkit.errors import PlatformError
from fnkit.platform.control.deployments.build import build
from fnkit.platform.control.deployments.build_job import BuildFailed, BuildJob, BuildLog
from fnkit.toolchains.resolution import Toolchains
from tests.support.data_plane import PYTHONPATH, interpreter_for
from tests.support.toolchains import missing_toolchain

UID = 54_330 if os.geteuid() == 0 else 0
RUNTIMES = {"Node": "node24", "PHP": "php85", "Go": "go126", "Rust": "rust196"}


def show_rust_toolchains() -> None:
    """Let this process, and those that it starts, find the toolchains of rustup: tests have an empty home."""
    os.environ.setdefault("RUSTUP_HOME", str(Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".rustup"))


@functools.cache
def toolchain(language: str) -> str:
    """Return the program of a language; skip the test without one, or fail it on CI."""
    show_rust_toolchains()
    try:
        return Toolchains().resolve(RUNTIMES[language]).interpreter.path
    except PlatformError as error:
        missing_toolchain(error.message, need=language.lower())


def archive_of(files: Mapping[str, str | bytes]) -> io.BytesIO:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content


@dataclass(frozen=True)
class BuildResult:
    """What a build left: its directory, its log, and why it failed."""

    directory: Path
    log: str
    error: str

    @property
    def program(self) -> Path:
        assert not self.error, f"{self.error}\n{self.log}"
        return self.directory / ".fnkit/handler"


class Builder:
    """Builds functions one after the other in a data directory.

    Args:
        folder: The data directory.
        cache: The cache of the function.
    """

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder = folder
        self.cache = cache
        self.steps: list[str] = []
        self._number = 0

    def job(self, language: str, handler: str, files: Mapping[str, str | bytes], **changes: object) -> BuildJob:
        self._number += 1
        settings: dict[str, object] = {
            "runtime": RUNTIMES[language],
            "handler": handler,
            "archive": archive_of(files),
            "target": self.folder / "deployments" / f"f-{self._number}",
            "uid": UID,
            "interpreter": toolchain(language),
            "cache": self.cache,
            "libraries": self.cache.parent / "libraries",
            "log": BuildLog(self.folder / f"log-{self._number}", 1, lambda: "2026-01-01T00:00:00.000000Z"),
            "progress": self.steps.append,
            **changes,
        }
        return BuildJob(**settings)  # type: ignore[arg-type]  # by name

    def build(
        self, language: str, handler: str, files: Mapping[str, str | bytes], **changes: object
    ) -> BuildResult:
        job = self.job(language, handler, files, **changes)
        error = ""
        try:
            build(job)
        except BuildFailed as failure:
            error = failure.detail
        log = (self.folder / f"log-{self._number}" / "build.jsonl").read_text()
        return BuildResult(job.target, "\n".join(json.loads(line)["message"] for line in log.splitlines()), error)


@contextmanager
def shared_cache(factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """Yield a cache that all workers of a test run share, one after the other."""
    folder = factory.getbasetemp()
    if os.environ.get("PYTEST_XDIST_WORKER"):
        folder = folder.parent
    caches = folder / "build-caches"
    caches.mkdir(exist_ok=True)
    with FileLock(caches / f"{name}.lock"):
        yield caches / name


def run_tool(folder: Path, place: tuple[int, str], source: str, **limits: float) -> dict[str, object]:
    """Run a program in Python as a build tool, with the platform as another user.

    Args:
        folder: A new data directory.
        place: The user of the platform, 0 for this one, and the level of the sandbox.
        source: The program.
        limits: Fields of ``BuildLimits``.

    Returns:
        ``error`` and ``log`` of the build, and what it reported.
    """
    with running_tool(folder, place, source, **limits) as process:
        output, _ = process.communicate(timeout=100)
    answer = json.loads(output)
    assert isinstance(answer, dict)
    return answer


@contextmanager
def running_tool(
    folder: Path, place: tuple[int, str], source: str, **limits: float
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``run_tool``'s process, whose standard output will be the answer; kill it at the end."""
    user, level = place
    folder.mkdir(mode=0o700, exist_ok=True)
    if user:
        os.chown(folder, user, user)
    settings = {"folder": str(folder), "level": level, "source": source, "limits": limits}
    process = subprocess.Popen(
        [
            interpreter_for(user) if user else sys.executable,
            "-m",
            "tests.support.build_driver",
            json.dumps(settings),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd="/",
        env={"PATH": os.environ["PATH"], "PYTHONPATH": PYTHONPATH, "SECRET_OF_THE_USER": "do-not-tell"},
        user=user or None,
        group=user or None,
        extra_groups=[] if user else None,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def stop_later(job: BuildJob, is_due: Callable[[], object]) -> threading.Thread:
    """Stop a build once a condition holds."""

    def wait() -> None:
        while not is_due():
            job.stop.wait(0.01)
        job.stop.set()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread
