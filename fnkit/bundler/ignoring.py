"""Which paths git's ignore rules leave out, with one more layer on each side.

From weakest to strongest: patterns built in here, the repository's ``.gitignore`` files from its root down to the
path's own folder, the project's ``exclude`` setting, ``.fnkitignore``. Within one layer the last matching line
decides; a later layer that says nothing leaves the earlier answer standing. A folder that is left out is not
entered, so nothing under it can be taken back (gitignore(5)).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pathspec import GitIgnoreSpec

from fnkit.errors import BundleError

__all__ = ["BUILT_IN", "IgnoreLayer", "IgnoreRules", "Pattern", "layers_above", "parse_patterns", "read_layer"]

_FOLDER_MARK = "ps_d"
"""The group that pathspec's expressions end with where a line may name a folder."""

BUILT_IN = (
    # Settings, locks and other files for people and tools: no handler reads them, and each would otherwise be
    # part of every slice (decision 2), so that a changed memory setting would update every function.
    "/pyproject.toml", "/fnkit.toml", "/fnkit.*.lock", "/uv.toml", "/uv.lock", "/poetry.lock", "/pdm.lock",
    "/Pipfile*", "/pylock*.toml", "/requirements*.txt", "/requirements*.in", "/setup.py", "/setup.cfg",
    "/tox.ini", "/noxfile.py", "/Makefile", "/README*", "/CHANGELOG*", "/LICENSE*", "/LICENCE*", "/Dockerfile*",
    "/.dockerignore", ".gitignore", ".gitattributes", ".gitmodules", ".gitkeep", "/.fnkitignore", "/.github/",
    "/.gitlab-ci.yml", "/.pre-commit-config.yaml", ".editorconfig", ".python-version", ".idea/", ".vscode/",
    # Tests and build output.
    "/tests/", "/test/", "/build/", "/dist/", "*.egg-info/", "*.py[co]", "*.swp", "*~", ".DS_Store", "Thumbs.db",
    ".coverage", ".coverage.*",
)  # fmt: skip
"""The weakest layer: ``!README.md`` in ``.fnkitignore`` takes a file back."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One line of an ignore file; ``include`` False takes back."""

    regex: re.Pattern[str]
    include: bool

    def matches(self, path: str, *, folder: bool) -> bool:
        """Say whether the line speaks of this very path.

        pathspec's expressions also match whatever lies under a folder that they name. A pruned walk must not ask
        that: below ``x.txt/``, a line ``!*.txt`` says nothing (found by comparing with git).
        """
        if _FOLDER_MARK not in self.regex.groupindex:
            return self.regex.search(path) is not None
        whole = path + "/" if folder else path
        return any(found.end() == len(whole) for found in self.regex.finditer(whole))


@dataclass(frozen=True, slots=True)
class IgnoreLayer:
    """Patterns that hold under one folder.

    base: the folder relative to the project, ``""`` for its root, or how far the project lies below it
    (``above``, ``"services/shop/"``) for files of a repository around the project.
    """

    base: str
    patterns: tuple[Pattern, ...]
    above: str = ""

    def verdict(self, path: str, *, folder: bool) -> bool | None:
        """Return True to leave out, False to take back, None when no pattern matches.

        ``path`` is relative to the project's root.
        """
        local = self.above + path[len(self.base) :]
        for pattern in reversed(self.patterns):
            if pattern.matches(local, folder=folder):
                return pattern.include
        return None


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """All layers that hold in one folder: ``middle`` grows on the way down, the others stay."""

    weakest: IgnoreLayer
    middle: tuple[IgnoreLayer, ...]
    strongest: tuple[IgnoreLayer, ...]

    def entering(self, layer: IgnoreLayer | None) -> IgnoreRules:
        """Return the rules inside a folder with its own ``.gitignore``."""
        return self if layer is None else IgnoreRules(self.weakest, (*self.middle, layer), self.strongest)

    def leaves_out(self, path: str, *, folder: bool) -> bool:
        """Say whether a path is left out; the strongest layer with an opinion decides."""
        for layer in (*reversed(self.strongest), *reversed(self.middle), self.weakest):
            verdict = layer.verdict(path, folder=folder)
            if verdict is not None:
                return verdict
        return False


def read_layer(file: Path, base: str, *, above: str = "") -> IgnoreLayer | None:
    """Return an ignore file's layer, or ``None`` where there is no such file.

    Raises:
        BundleError: ``unreadable-file`` when it cannot be read, ``ignore-file`` when a line is no pattern.
    """
    try:
        text = file.read_bytes().decode("utf-8", errors="surrogateescape")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        raise BundleError(
            f"{base}{file.name} cannot be read: {(error.strerror or str(error)).lower()}.",
            code="unreadable-file",
            hint="Give yourself the right to read it, or remove it.",
        ) from error
    return IgnoreLayer(base, parse_patterns(text.splitlines(), f"{base}{file.name}"), above)


def parse_patterns(lines: Iterable[str], source: str) -> tuple[Pattern, ...]:
    """Return the patterns of an ignore file's lines; a line that git would not take is refused with its text.

    Raises:
        BundleError: ``ignore-file``.
    """
    kept = list(lines)
    try:
        compiled = GitIgnoreSpec.from_lines(kept).patterns
    except ValueError as error:
        raise BundleError(
            f"{source} holds a pattern that git would not accept: {error}.",
            code="ignore-file",
            hint="Write patterns as in a .gitignore file.",
        ) from error
    return tuple(
        Pattern(one.regex, one.include) for one in compiled if one.regex is not None and one.include is not None
    )


def layers_above(root: Path) -> tuple[IgnoreLayer, ...]:
    """Return the layers of the repository around the project, outermost first.

    A project is often a folder of a repository whose root holds the one ``.gitignore``. Where those rules leave
    out the project's folder itself they are not used at all: whoever bundles it wants it.
    """
    parents: list[Path] = []
    if not (root / ".git").exists():
        for parent in root.parents:
            parents.append(parent)
            if (parent / ".git").exists():
                break
        else:
            return ()
    found: list[IgnoreLayer] = []
    for parent in reversed(parents):
        above = root.relative_to(parent).as_posix() + "/"
        layer = read_layer(parent / ".gitignore", "", above=above)
        if layer is not None:
            steps = above.rstrip("/").split("/")
            prefixes = ["/".join(steps[: count + 1]) for count in range(len(steps))]
            outside = IgnoreLayer("", layer.patterns)
            if any(outside.verdict(prefix, folder=True) for prefix in prefixes):
                return ()
            found.append(layer)
    return tuple(found)
