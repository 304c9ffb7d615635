"""Records of deployed slices."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from fnkit.plan.desired import Desired
from fnkit.plan.observed import Observed
from fnkit.plan.tags import read_ownership

__all__ = ["Remembered", "recall_slices", "remember_slices", "with_slices"]

_DIGEST = re.compile(r"[0-9a-f]{32}")


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a deployed slice.

    Attributes:
        files: Pairs of path and SHA-256.
        archive: Path of the zip file on this machine, which may no longer exist.
    """

    files: tuple[tuple[str, str], ...]
    archive: str


def recall_slices(observed: Observed, folder: Path) -> dict[str, Remembered]:
    """Return this machine's records of the live slices by digest."""
    digests = {read_ownership(function.tags).code for function in observed.functions}
    found = ((digest, _read(folder, digest)) for digest in digests if digest)
    return {digest: slice_ for digest, slice_ in found if slice_ is not None}


def with_slices(observed: Observed, known: Mapping[str, Remembered]) -> Observed:
    """Return ``observed`` with the files of recorded slices, which explain changes in a plan."""
    return Observed(
        namespace=observed.namespace,
        functions=observed.functions,
        children=observed.children,
        slices={digest: slice_.files for digest, slice_ in known.items()},
    )


def remember_slices(desired: Desired, names: Iterable[str], archives: Mapping[str, Path], folder: Path) -> None:
    """Record the deployed slices of the named functions. Write errors are ignored: the records are optional."""
    wanted = set(names)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for function in desired.functions:
            target = folder / f"{function.code}.json"
            archive = archives.get(function.archive)
            if function.name not in wanted or archive is None:
                continue
            temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
            temporary.write_bytes(msgspec.json.encode(Remembered(files=function.files, archive=str(archive))))
            temporary.replace(target)
    except OSError:
        return


def _read(folder: Path, digest: str) -> Remembered | None:
    if not _DIGEST.fullmatch(digest):
        return None  # anyone with access to the API can write this tag; it must not become a path
    try:
        return msgspec.json.decode((folder / f"{digest}.json").read_bytes(), type=Remembered)
    except (OSError, msgspec.DecodeError):
        return None
