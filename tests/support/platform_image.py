"""The image of the platform, as the Dockerfile of a user builds it: an interpreter, fnkit, and what it needs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fnkit.contract.distribution import DISTRIBUTION
from fnkit.platform.control.images.host_base import make_host_base
from fnkit.platform.control.images.layer import EntryKind, LayerEntry, directory_entries, write_layer
from fnkit.platform.control.images.layer_store import LayerStore
from tests.support.image_registry import GZIP_TYPE, MANIFEST_TYPE, OCI, Blob, ImageForTests
from tests.support.source_tree import REPOSITORY

__all__ = ["make_platform_image"]

_PACKAGES: Final = "opt/fnkit"
_COMMAND: Final = '#!/bin/sh\nexec python3 -c "import sys; from fnkit.cli import main; sys.exit(main())" "$@"\n'


def make_platform_image(folder: Path) -> ImageForTests:
    """Return an image with this interpreter, this fnkit and the installed packages that its extra needs.

    Args:
        folder: For the layers; created.
    """
    store = LayerStore(folder)
    interpreter = str(Path(sys.executable).resolve())
    base = make_host_base(interpreter, store)
    packages = store.add(lambda output: write_layer(_package_entries(), output))
    layers = (*base.layers, packages)
    blobs = []
    for layer in layers:
        with store.open(layer.digest) as stored:
            blobs.append(Blob(stored.read(), GZIP_TYPE))
    diff_ids = tuple(f"sha256:{layer.diff_id}" for layer in layers)
    variables = {**base.environment, "PYTHONPATH": f"/{_PACKAGES}"}
    config = {
        "architecture": base.architecture,
        "os": "linux",
        "config": {"Env": [f"{name}={value}" for name, value in variables.items()]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    config_blob = Blob(json.dumps(config).encode(), f"{OCI}config.v1+json")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": config_blob.descriptor,
        "layers": [blob.descriptor for blob in blobs],
    }
    manifest_blob = Blob(json.dumps(manifest).encode(), MANIFEST_TYPE)
    return ImageForTests(manifest_blob, config_blob, tuple(blobs), diff_ids, base.architecture)


def _package_entries() -> Iterator[LayerEntry]:
    yield LayerEntry(path="usr/local/bin/fnkit", kind=EntryKind.FILE, mode=0o755, content=_COMMAND.encode())
    yield from directory_entries(REPOSITORY / "fnkit", f"{_PACKAGES}/fnkit")
    for found in _required_distributions():
        for file in found.files or ():
            source = Path(str(file.locate()))
            is_needed = (
                file.parts[0].endswith(".dist-info") if found.name == DISTRIBUTION else file.parts[0] != ".."
            )
            if is_needed and source.suffix != ".pyc" and source.is_file():
                mode = 0o755 if source.suffix == ".so" else 0o644
                yield LayerEntry(path=f"{_PACKAGES}/{file}", kind=EntryKind.FILE, mode=mode, source=str(source))


def _required_distributions() -> Iterator[Distribution]:
    """Yield the installed distributions that fnkit with its extra ``kubernetes`` needs here, with itself."""
    pending = [Requirement(f"{DISTRIBUTION}[kubernetes]")]
    seen: set[str] = set()
    while pending:
        wanted = pending.pop()
        extras = wanted.extras or {""}
        new = {f"{canonicalize_name(wanted.name)}[{extra}]" for extra in extras} - seen
        if not new:
            continue
        seen |= new
        found = distribution(wanted.name)
        yield found
        for text in found.requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or any(requirement.marker.evaluate({"extra": one}) for one in extras):
                pending.append(requirement)
