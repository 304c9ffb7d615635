"""Remembers what was in a slice when it was deployed, so that the next plan can say which file changed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import msgspec

from fnkit.plan.desired import Desired
from fnkit.plan.observed import Observed
from fnkit.plan.tags import read_ownership

__all__ = ["recall_slices", "remember_slices"]

_Files = tuple[tuple[str, str], ...]
_DIGEST = re.compile(r"[0-9a-f]{32}")


def recall_slices(observed: Observed, folder: Path) -> Observed:
    """Return the same with what this machine remembers of the deployed slices."""
    digests = {read_ownership(function.tags).code for function in observed.functions}
    known = {digest: files for digest in digests if digest and (files := _read(folder, digest)) is not None}
    return Observed(namespace=observed.namespace, functions=observed.functions, crons=observed.crons, slices=known)


def remember_slices(desired: Desired, names: Iterable[str], folder: Path) -> None:
    """Keep the listings of the functions that were deployed. What cannot be kept is only not explained later."""
    wanted = set(names)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for function in desired.functions:
            target = folder / f"{function.code}.json"
            if function.name in wanted and not target.exists():
                temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
                temporary.write_bytes(msgspec.json.encode(function.files))
                temporary.replace(target)
    except OSError:
        return


def _read(folder: Path, digest: str) -> _Files | None:
    if not _DIGEST.fullmatch(digest):
        return None  # a tag is anybody's to write: it must not become a path
    try:
        return msgspec.json.decode((folder / f"{digest}.json").read_bytes(), type=_Files)
    except (OSError, msgspec.DecodeError):
        return None
