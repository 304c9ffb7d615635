"""A link of an archive is accepted exactly if the kernel would resolve it inside the archive."""

from __future__ import annotations

import tempfile
from pathlib import Path, PurePosixPath

from hypothesis import given
from hypothesis import strategies as st

from fnkit.platform.control.deployments.archive_links import ArchiveLinks
from fnkit.platform.control.deployments.build_job import BuildFailed

NAMES = st.sampled_from(["a", "b", "c"])
TARGET_PARTS = st.sampled_from(["a", "b", "c", ".", "..", ""])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(TARGET_PARTS, min_size=1, max_size=4).map("/".join).filter(bool)


@given(st.dictionaries(PATHS, TARGETS, min_size=1, max_size=4))
def test_accepted_links_resolve_inside_and_rejected_ones_do_not(declared: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve() / "outer" / "root"
        root.mkdir(parents=True)
        links = ArchiveLinks()
        try:
            for path, target in declared.items():
                links.add(PurePosixPath(path), target)
        except BuildFailed:
            assert any(path.startswith(f"{other}/") for path in declared for other in declared)
            return
        try:
            links.create(root, lambda: None)
        except BuildFailed:
            assert not list(root.rglob("*"))
            assert not all(_stays_inside(root, path, declared) for path in declared)
            return
        for path in declared:
            assert (root / path).is_symlink()
        assert all(_stays_inside(root, path, declared) for path in declared)
        assert [one.name for one in root.parent.iterdir()] == ["root"]


def _stays_inside(root: Path, path: str, links: dict[str, str]) -> bool:
    """Return whether following a link one component at a time never leaves the root, in at most 40 links."""
    place, pending, followed = root, path.split("/"), 0
    while pending:
        place = place / pending.pop(0)
        relative = Path(str(place.parent), place.name).relative_to(root.parent.parent)
        if place.name == "..":
            place = place.parent.parent
            if not place.is_relative_to(root):
                return False
            continue
        text = relative.relative_to("outer/root").as_posix()
        if text in links:
            followed += 1
            if followed > 40 or links[text].startswith("/"):
                return False
            pending = [part for part in links[text].split("/") if part not in ("", ".")] + pending
            place = place.parent
    return True
