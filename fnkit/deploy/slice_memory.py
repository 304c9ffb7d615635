"""Remembers what was deployed: which files were in a slice, and in which archive it was.

So the next plan can say which file changed, and a function whose deploy fails can have its last good archive back.
"""

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
    """One deployed slice. files: (path, sha256); archive: the zip's path on this machine, which may be gone."""

    files: tuple[tuple[str, str], ...]
    archive: str


def recall_slices(observed: Observed, folder: Path) -> dict[str, Remembered]:
    """Return what this machine remembers of the slices that are live, by digest."""
    digests = {read_ownership(function.tags).code for function in observed.functions}
    found = ((digest, _read(folder, digest)) for digest in digests if digest)
    return {digest: slice_ for digest, slice_ in found if slice_ is not None}


def with_slices(observed: Observed, known: Mapping[str, Remembered]) -> Observed:
    """Return the same state with the listings put in, for the plan to explain changes with."""
    return Observed(
        namespace=observed.namespace,
        functions=observed.functions,
        children=observed.children,
        slices={digest: slice_.files for digest, slice_ in known.items()},
    )


def remember_slices(desired: Desired, names: Iterable[str], archives: Mapping[str, Path], folder: Path) -> None:
    """Keep what was deployed of the named functions. What cannot be kept is only not explained later."""
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
        return None  # a tag is anybody's to write: it must not become a path
    try:
        return msgspec.json.decode((folder / f"{digest}.json").read_bytes(), type=Remembered)
    except (OSError, msgspec.DecodeError):
        return None
