"""Runs a build command of a project in a copy of its inputs, and keeps what it makes in the cache.

The key of the cache covers the command and the content of all inputs, so that equal inputs run once. A build sees
no keys or tokens in its environment, and its time, its output and what it makes are bounded.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

import msgspec

from fnkit.bundler.builds.environment import command_environment
from fnkit.bundler.builds.permission import (
    AllowBuildsCallback,
    BuildRequest,
    declaration_digest,
    require_permission,
)
from fnkit.bundler.files.content import (
    TEMPORARY_PREFIX,
    ContentByPath,
    FileContent,
    hash_file,
    read_verified,
    unwritable_file_error,
)
from fnkit.bundler.files.secret_files import DOTENV_PREFIX, is_secret_file
from fnkit.bundler.files.tree import read_tree
from fnkit.bundler.model import BundleProgress, ProgressCallback
from fnkit.errors import BundleError
from fnkit.toolchains.packaged_programs import with_packaged_node

TIMEOUT_SECONDS: Final = 900
_LINES_SHOWN: Final = 10
"""Lines of a failed build's output that are shown of its beginning and of its end."""
_LINE_SHOWN_CHARS: Final = 300
_CHUNK_BYTES: Final = 1 << 16
_RESULTS_KEPT: Final = 50
_VERSION: Final = 1
"""Increase when the same inputs must be built again."""
_INDEX: Final = ".fnkit-build.json"
_UNCOLLECTED: Final = frozenset({"node_modules", ".git", "target", ".yarn", ".cache"})
"""Directories that are not the result of a build, unless ``output`` names one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build, with everything that determines its result.

    Attributes:
        root: The project's directory.
        command: The program and its arguments; a program that ``prepare`` installs is found by its name.
        shown: The command as the user knows it.
        declaration: What else determines which code runs, for the user's permission.
        asked: The command in full, as the user is asked about it; by default as shown.
        inputs: Content by path in the staging copy.
        output: Folder that the command writes; ``.`` for all files that it makes or changes.
        prepare: Called with the staging copy before the command runs, for example to install packages.
        prepare_key: Everything that determines what ``prepare`` does.
    """

    root: Path
    command: tuple[str, ...]
    shown: str
    declaration: tuple[object, ...]
    inputs: ContentByPath
    output: str
    prepare: Callable[[Path], None] | None = None
    prepare_key: str = ""
    asked: str = ""

    @property
    def key(self) -> str:
        """64 hex digits over the command and the content of the inputs."""
        listed = sorted((name, one.sha256, one.executable) for name, one in self.inputs.items())
        parts = [_VERSION, self.command, self.output, self.prepare_key, listed]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def find_result(build: Build, cache: Path) -> ContentByPath | None:
    """Return what a build made by path, or ``None`` if it has not run, or the cache is damaged."""
    folder = cache / "builds" / build.key
    try:
        index = msgspec.json.decode((folder / _INDEX).read_bytes(), type=dict[str, str])
        found = {name: hash_file(folder / name, name) for name in index}
    except (OSError, msgspec.MsgspecError, BundleError):
        return None
    if any(found[name].sha256 != sha256 for name, sha256 in index.items()):
        return None
    return found


def run_build(
    build: Build, cache: Path, *, runtime: str, report: ProgressCallback, allow_builds: AllowBuildsCallback
) -> ContentByPath:
    """Return what a build makes by path; run it, with the user's permission, unless the cache has the result.

    Raises:
        BundleError: ``builds-not-allowed``, ``build-command-failed``, ``build-output``, or a fault of a file.
    """
    if (found := find_result(build, cache)) is not None:
        return found
    digest = declaration_digest(["command", build.shown, *build.declaration])
    request = BuildRequest(root=build.root, commands=(build.asked or build.shown,), digests=(digest,))
    require_permission(request, allow_builds)
    report(BundleProgress(stage="build", runtime=runtime, detail=build.shown))
    with tempfile.TemporaryDirectory(prefix="fnkit-build-", ignore_cleanup_errors=True) as name:
        staging = Path(name, "project")
        copy_files(build.inputs, staging)
        if build.prepare is not None:
            build.prepare(staging)
        before = _files_of(build, staging, ".")
        with with_packaged_node(command_environment(os.environ)) as environ:
            _run(build, staging, environ)
        _store(_collect(build, staging, before), cache, build.key)
    stored = find_result(build, cache)
    if stored is None:
        raise BundleError(
            f"The result of `{build.shown}` disappeared from the cache while it was in use.",
            code="cache-unusable",
            hint=f"Check which other program changes {cache}, then run the command again.",
        )
    return stored


def copy_files(files: Mapping[str, FileContent], folder: Path) -> None:
    """Copy files into a folder by their paths, and check that they still have the content that was hashed.

    Raises:
        BundleError: ``changed-while-bundling``, ``disk-full``, ``not-writable``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(read_verified(content, name))
            if content.executable:
                target.chmod(0o755)
        except OSError as error:
            raise unwritable_file_error(target, error) from error


def _run(build: Build, staging: Path, variables: Mapping[str, str]) -> None:
    tools = os.fspath(staging / "node_modules" / ".bin")
    environ = {**variables, "PATH": os.pathsep.join(filter(None, (tools, variables["PATH"])))}
    try:
        process = subprocess.Popen(
            [shutil.which(build.command[0], path=environ["PATH"]) or build.command[0], *build.command[1:]],
            cwd=staging,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise _build_error(build, f"{build.command[0]} cannot be started: {error.strerror}", "") from error
    pieces = _Pieces()
    if process.stdout is None:
        raise AssertionError("the output of a build is a pipe")
    reader = threading.Thread(target=_read_output, args=(process.stdout, pieces), daemon=True)
    reader.start()
    try:
        status = process.wait(TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise _build_error(build, f"it took longer than {TIMEOUT_SECONDS // 60} minutes", "") from None
    finally:
        _end_group(process)
        reader.join(timeout=5)
    if status != 0:
        reason = f"it was ended by signal {-status}" if status < 0 else f"it ended with exit code {status}"
        raise _build_error(build, reason, pieces.text())


class _Pieces:
    """The beginning and the end of a build's output: compilers tell the reason in one or the other."""

    def __init__(self) -> None:
        self._first = b""
        self._last: deque[bytes] = deque(maxlen=2)

    def add(self, piece: bytes) -> None:
        if len(self._first) < _CHUNK_BYTES:
            self._first += piece
        else:
            self._last.append(piece)

    def text(self) -> str:
        return (self._first + b"".join(self._last)).decode("utf-8", "replace")


def _read_output(stream: IO[bytes], pieces: _Pieces) -> None:
    """Read a build's output to its end."""
    with stream:
        while piece := os.read(stream.fileno(), _CHUNK_BYTES):
            pieces.add(piece)


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """End a build and what it left running."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _collect(build: Build, staging: Path, before: ContentByPath) -> ContentByPath:
    """Return the files that a build made: all of its output folder, or what it made or changed anywhere.

    Args:
        build: The build.
        staging: Where it ran.
        before: The files that were there before it ran.
    """
    folder = staging / build.output
    if not folder.resolve().is_relative_to(staging.resolve()) or not folder.is_dir():
        raise _output_error(build, f"made no directory {build.output}")
    made = _files_of(build, staging, build.output)
    if build.output == ".":
        old = {path: one.sha256 for path, one in before.items()}
        made = {path: one for path, one in made.items() if old.get(path) != one.sha256}
        if not made:
            raise _output_error(build, "made no files")
    elif not made:
        raise _output_error(build, f"left the directory {build.output} empty")
    return made


def _files_of(build: Build, staging: Path, folder: str) -> ContentByPath:
    """Return the files of a folder by path in the staging copy, without packages and files of secrets."""
    everything = folder == "."

    def skip(path: str) -> bool:
        name = path.rstrip("/").rpartition("/")[2]
        if path.endswith("/"):
            return everything and name in _UNCOLLECTED
        return name.startswith(DOTENV_PREFIX) or is_secret_file(name)

    found = read_tree(staging / folder, f"`{build.shown}`", skip=skip)
    return found if everything else {f"{folder}/{path}": one for path, one in found.items()}


def _store(made: ContentByPath, cache: Path, key: str) -> None:
    """Move the files that a build made into the cache, whole or not at all."""
    results = cache / "builds"
    try:
        results.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=TEMPORARY_PREFIX, dir=results, ignore_cleanup_errors=True) as name:
            folder = Path(name, key)
            copy_files(made, folder)
            index = {path: content.sha256 for path, content in sorted(made.items())}
            (folder / _INDEX).write_bytes(msgspec.json.encode(index))
            shutil.rmtree(results / key, ignore_errors=True)  # a damaged one
            with suppress(FileExistsError, NotADirectoryError):
                folder.rename(results / key)
    except OSError as error:
        raise unwritable_file_error(results / key, error) from error
    _prune(results)


def _prune(results: Path) -> None:
    """Delete all but the newest results."""
    with suppress(OSError):
        found = [one for one in results.iterdir() if not one.name.startswith(TEMPORARY_PREFIX)]
        newest_first = sorted(found, key=lambda one: one.stat().st_mtime_ns, reverse=True)
        for old in newest_first[_RESULTS_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)


def _build_error(build: Build, reason: str, output: str) -> BundleError:
    lines = [line.rstrip()[:_LINE_SHOWN_CHARS] for line in output.splitlines() if line.strip()]
    if len(lines) > 2 * _LINES_SHOWN:
        lines = [*lines[:_LINES_SHOWN], "…", *lines[-_LINES_SHOWN:]]
    printed = "".join(f"\n  {line}" for line in lines)
    return BundleError(
        f"`{build.shown}` failed: {reason}.{printed}",
        code="build-command-failed",
        hint="Run the command in the function's directory. A build gets its inputs only, and no keys or tokens.",
    )


def _output_error(build: Build, reason: str) -> BundleError:
    return BundleError(
        f"`{build.shown}` ended without an error, but {reason}.",
        code="build-output",
        hint="Set build_output to the directory that the command writes, relative to the function's directory.",
    )
