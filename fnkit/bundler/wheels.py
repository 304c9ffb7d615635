"""Wheels by sha256: fetched once, verified, kept in ``cache/wheels/<sha256>.whl``."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from urllib.parse import urlsplit

import requests

from fnkit.bundler.atomic_file import atomic_file, sweep_temporary
from fnkit.bundler.lock import LockedPackage
from fnkit.bundler.progress import BundleProgress, Report, silent
from fnkit.bundler.resolver import index_environment
from fnkit.errors import BundleError

__all__ = ["fetch_files"]

_THREADS = 8
_CONNECT_SECONDS, _READ_SECONDS = 15, 60
_TRIES = 3
_CHUNK = 1 << 18
_CLIENT_SECONDS = 600


def fetch_files(
    packages: tuple[LockedPackage, ...], cache: Path, *, runtime: str, report: Report = silent
) -> Mapping[str, Path]:
    """Return name → file for every package, fetching those that the cache lacks.

    What arrived before a run was cut off stays and is not fetched again.

    Raises:
        BundleError: ``download-failed``, ``hash-mismatch``, ``disk-full``, ``not-writable``.
    """
    folder = cache / "wheels"
    places = {one.name: folder / f"{one.sha256}.{'whl' if one.kind == 'wheel' else 'sdist'}" for one in packages}
    missing = [one for one in packages if not _complete(places[one.name], one)]
    if not missing:
        return places
    sweep_temporary(folder)
    # Threads share one connection pool; requests' Session is used for sending only, which urllib3 locks.
    with requests.Session() as session, ThreadPoolExecutor(_THREADS) as pool:
        waiting = {pool.submit(_fetch, session, one, places[one.name]): one for one in missing}
        try:
            for done, future in enumerate(as_completed(waiting), start=1):
                future.result()
                name = waiting[future].name
                report(BundleProgress(stage="fetch", runtime=runtime, detail=name, done=done, total=len(missing)))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return places


def _complete(place: Path, package: LockedPackage) -> bool:
    """Say whether a cached file can be used; its bytes are verified again where they are read into a layer."""
    try:
        size = place.stat().st_size
    except OSError:
        return False
    return size == package.size if package.size else size > 0


def _fetch(session: requests.Session, package: LockedPackage, place: Path) -> None:
    if package.url is not None:
        for attempt in range(1, _TRIES + 1):
            try:
                _download(session, package, package.url, place)
            except requests.RequestException as error:
                if _refused(error):
                    break  # an index that wants credentials: its own client may have them
                if attempt == _TRIES:
                    raise _unreachable(package, error) from error
            else:
                return
    _fetch_with_pip(package, place)


def _download(session: requests.Session, package: LockedPackage, url: str, place: Path) -> None:
    with session.get(url, stream=True, timeout=(_CONNECT_SECONDS, _READ_SECONDS)) as answer:
        answer.raise_for_status()
        digest = hashlib.sha256()
        with atomic_file(place) as file:
            for chunk in answer.iter_content(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
            if digest.hexdigest() != package.sha256:
                raise _mismatch(package)


def _refused(error: requests.RequestException) -> bool:
    return error.response is not None and error.response.status_code in (401, 403, 404, 407)


def _fetch_with_pip(package: LockedPackage, place: Path) -> None:
    """Get one file with pip, which knows netrc, keyring and find-links; it checks the hash itself."""
    with tempfile.TemporaryDirectory(prefix="fnkit-fetch-") as folder:
        wanted = Path(folder, "requirement.txt")
        wanted.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", "utf-8")
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"),
            *("--dest", folder, *_kind_options(package), "-r", str(wanted)),
        ]
        try:
            subprocess.run(
                command,
                env=index_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_CLIENT_SECONDS,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise _unreachable(package, error) from error
        found = Path(folder, package.filename)
        if not found.is_file() or hashlib.sha256(found.read_bytes()).hexdigest() != package.sha256:
            raise _mismatch(package)
        with atomic_file(place) as file:
            file.write(found.read_bytes())


def _kind_options(package: LockedPackage) -> list[str]:
    """Return pip's options that admit exactly the locked file: its own tags, read from its name."""
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


def _unreachable(package: LockedPackage, error: Exception) -> BundleError:
    host = urlsplit(package.url or "").hostname or "the package index"
    status = ""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        status = f" (status {error.response.status_code})"
    return BundleError(
        f"{package.filename} could not be fetched from {host}{status}.",
        code="download-failed",
        hint="Check the connection and the proxy settings, then try again: what has arrived is kept.",
    )


def _mismatch(package: LockedPackage) -> BundleError:
    return BundleError(
        f"What the index sent for {package.filename} does not have the locked sha256.",
        code="hash-mismatch",
        hint="Do not use it before you know why; an upgrade of the lock takes what is there now.",
    )
