"""The symbolic links of an archive: all must stay inside it, which is decided before any of them is created.

Only the archive's own links can be on the way of another one, so their targets are resolved in memory. The cost is
bounded by the number of links, the depth of paths and the 40 links that Linux follows in one path
(path_resolution(7)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from fnkit.platform.control.deployments.build_job import BuildFailed

_MAX_LINKS: Final = 10_000
_MAX_LINKS_FOLLOWED: Final = 40


@dataclass(slots=True)
class _Node:
    """A path in the archive on the way to a link. ``target`` is that of the link, ``None`` for a directory."""

    children: dict[str, _Node] = field(default_factory=dict)
    target: str | None = None


class ArchiveLinks:
    """Collects the links of an archive, then creates them."""

    def __init__(self) -> None:
        self._root = _Node()
        self._paths: dict[PurePosixPath, str] = {}

    def add(self, path: PurePosixPath, target: str) -> None:
        """Add a link; a later one replaces an earlier one of the same path.

        Raises:
            BuildFailed: There are too many links, or one lies behind another.
        """
        if len(self._paths) >= _MAX_LINKS:
            raise BuildFailed(f"The archive has more than {_MAX_LINKS} symbolic links.")
        node = self._root
        for name in path.parts:
            if node.target is not None:
                raise BuildFailed(f"{str(path)!r} lies behind a link.")
            node = node.children.setdefault(name, _Node())
        if node.children:
            raise BuildFailed(f"Another link lies behind {str(path)!r}.")
        node.target = target
        self._paths[path] = target

    def create(self, directory: Path, check: Callable[[], None]) -> None:
        """Create the links in a directory that contains the archive's files, and no links.

        Args:
            directory: The directory.
            check: Called before each link; it raises if the build was stopped.

        Raises:
            BuildFailed: A link leads outside the archive, or replaces a directory.
            OSError: A link could not be created.
        """
        for path in self._paths:
            check()
            self._check_target(path)
        for path, target in self._paths.items():
            check()
            link = directory / path
            try:
                link.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                link.unlink(missing_ok=True)
                link.symlink_to(target)
            except (FileExistsError, NotADirectoryError, IsADirectoryError, PermissionError):
                raise BuildFailed(f"{str(path)!r} is both a link and a file or directory.") from None

    def _check_target(self, path: PurePosixPath) -> None:
        """Follow a link as the kernel would.

        Raises:
            BuildFailed: It leads outside the archive, or through more links than Linux follows.
        """
        pending = list(reversed(path.parts))
        nodes: list[_Node | None] = [self._root]
        followed = 0
        while pending:
            name = pending.pop()
            if name == "..":
                nodes.pop()
                if not nodes:
                    raise BuildFailed(f"The link {str(path)!r} leads outside the archive.")
                continue
            parent = nodes[-1]
            node = parent.children.get(name) if parent is not None else None
            if node is None or node.target is None:
                nodes.append(node)
                continue
            followed += 1
            if followed > _MAX_LINKS_FOLLOWED:
                raise BuildFailed(f"The link {str(path)!r} leads through more than {_MAX_LINKS_FOLLOWED} links.")
            if node.target.startswith("/"):
                raise BuildFailed(f"The link {str(path)!r} leads outside the archive.")
            pending.extend(part for part in reversed(node.target.split("/")) if part not in ("", "."))
