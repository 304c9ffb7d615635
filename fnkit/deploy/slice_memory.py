"""Records of deployed slices."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from fnkit.plan.desired import DesiredState
from fnkit.plan.observed import ObservedState
from fnkit.plan.tags import read_ownership

__all__ = ["DeployedSlice", "load_deployed_slices", "save_deployed_slices", "with_deployed_slices"]

_DIGEST_PATTERN = re.compile(r"[0-9a-f]{32}")


class DeployedSlice(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a deployed slice.

    Attributes:
        files: Pairs of path and SHA-256.
        archive: Path of the zip file on this machine, which may no longer exist.
    """

    files: tuple[tuple[str, str], ...]
    archive: str


def load_deployed_slices(observed: ObservedState, directory: Path) -> dict[str, DeployedSlice]:
    """Return this machine's records of the live slices by digest."""
    digests = {read_ownership(function.tags).code_digest for function in observed.functions}
    found = ((digest, _read_deployed_slice(directory, digest)) for digest in digests if digest)
    return {digest: slice_ for digest, slice_ in found if slice_ is not None}


def with_deployed_slices(observed: ObservedState, records: Mapping[str, DeployedSlice]) -> ObservedState:
    """Return ``observed`` with the files of recorded slices, which explain changes in a plan."""
    return ObservedState(
        namespace=observed.namespace,
        functions=observed.functions,
        attached_resources=observed.attached_resources,
        deployed_slices={digest: slice_.files for digest, slice_ in records.items()},
    )


def save_deployed_slices(
    desired: DesiredState, names: Iterable[str], archives: Mapping[str, Path], directory: Path
) -> None:
    """Record the deployed slices of the named functions. Write errors are ignored: the records are optional."""
    wanted = set(names)
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for function in desired.functions:
            target = directory / f"{function.code}.json"
            archive = archives.get(function.archive)
            if function.name not in wanted or archive is None:
                continue
            temporary = target.with_name(f"{target.name}.{os.getpid()}.new")
            temporary.write_bytes(msgspec.json.encode(DeployedSlice(files=function.files, archive=str(archive))))
            temporary.replace(target)
    except OSError:
        return


def _read_deployed_slice(directory: Path, digest: str) -> DeployedSlice | None:
    if not _DIGEST_PATTERN.fullmatch(digest):
        return None  # anyone with access to the API can write this tag; it must not become a path
    try:
        return msgspec.json.decode((directory / f"{digest}.json").read_bytes(), type=DeployedSlice)
    except (OSError, msgspec.DecodeError):
        return None
