"""Git's ignore rules with two additional layers.

From weakest to strongest: built-in patterns; the repository's ``.gitignore`` files from its root down to the path's
own directory; the project's ``exclude`` setting; ``.fnkitignore``. Within one layer the last matching line decides;
a layer without a matching line leaves the decision to the weaker ones. An ignored directory is not entered, so
nothing under it can be re-included (gitignore(5)).
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pathspec import GitIgnoreSpec

from fnkit.errors import BundleError

_CACHED_FILES = 64
_WILDCARDS = frozenset("*?[")
_DIRECTORY_GROUP = "ps_d"
"""The group with which pathspec's expressions end where a line may name a directory."""

TOOL_PATTERNS = (
    # Settings, lock files and other files for people and tools. No handler reads them. A slice includes every
    # file that is not Python, so without these patterns a changed memory setting would update every function.
    "/pyproject.toml", "/fnkit.toml", "/fnkit.*.lock", "/uv.toml", "/uv.lock", "/poetry.lock", "/pdm.lock",
    "/Pipfile*", "/pylock*.toml", "/requirements*.txt", "/requirements*.in", "/setup.py", "/setup.cfg",
    "/tox.ini", "/noxfile.py", "/Dockerfile*",
    "/.dockerignore", ".gitignore", ".gitattributes", ".gitmodules", ".gitkeep", "/.fnkitignore", "/.github/",
    "/.gitlab-ci.yml", "/.pre-commit-config.yaml", ".editorconfig", ".python-version", ".idea/", ".vscode/",
    ".serverless/",
    "*.egg-info/", "*.py[co]", "*.swp", "*~", ".DS_Store", "Thumbs.db", ".coverage", ".coverage.*",
)  # fmt: skip
"""Files of tools, which neither a handler nor a compiler reads."""
BUILT_IN_PATTERNS = (
    *TOOL_PATTERNS,
    "/Makefile", "/README*", "/CHANGELOG*", "/LICENSE*", "/LICENCE*", "/tests/", "/test/", "/build/", "/dist/",
)  # fmt: skip
"""The weakest layer. ``!README.md`` in ``.fnkitignore`` re-includes a file."""


@dataclass(frozen=True, slots=True)
class IgnorePattern:
    """One line of an ignore file.

    Attributes:
        excludes: True for an ordinary line, false for a negated one (``!``).
        is_literal: Whether the line has no wildcard.
    """

    regex: re.Pattern[str]
    excludes: bool
    is_literal: bool

    def matches(self, path: str, *, is_directory: bool) -> bool:
        """Return whether the line matches this very path.

        pathspec's expressions also match everything under a directory that they name. A pruned walk must not use
        that: below ``x.txt/``, git does not apply a line ``!*.txt`` to the directory's content.
        """
        if _DIRECTORY_GROUP not in self.regex.groupindex:
            return self.regex.search(path) is not None
        whole = path + "/" if is_directory else path
        return any(found.end() == len(whole) for found in self.regex.finditer(whole))


@dataclass(frozen=True, slots=True)
class IgnoreLayer:
    """Patterns that apply below one directory.

    Attributes:
        base: The directory relative to the project, ``""`` for the project's root.
        project_prefix: For an ignore file of the repository around the project, the path from that file's directory
            to the project (``"services/shop/"``). It is prepended to paths before matching.
    """

    base: str
    patterns: tuple[IgnorePattern, ...]
    project_prefix: str = ""

    def decide(self, path: str, *, is_directory: bool) -> bool | None:
        """Return True to ignore the path, False to re-include it, None when no pattern matches.

        ``path`` is relative to the project's root.
        """
        local = self.project_prefix + path[len(self.base) :]
        for pattern in reversed(self.patterns):
            if pattern.matches(local, is_directory=is_directory):
                return pattern.excludes
        return None

    def names(self, path: str, *, is_directory: bool) -> bool:
        """Return whether a negated line without wildcards matches the path, relative to the project's root."""
        return any(
            pattern.is_literal and not pattern.excludes and pattern.matches(path, is_directory=is_directory)
            for pattern in self.patterns
        )


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """All layers that apply in one directory. ``gitignores`` grows on the way down; the others are constant."""

    built_in: IgnoreLayer
    gitignores: tuple[IgnoreLayer, ...]
    project_layers: tuple[IgnoreLayer, ...]

    def with_gitignore(self, layer: IgnoreLayer | None) -> IgnoreRules:
        """Return the rules inside a directory with its own ``.gitignore``."""
        return self if layer is None else IgnoreRules(self.built_in, (*self.gitignores, layer), self.project_layers)

    def is_ignored(self, path: str, *, is_directory: bool) -> bool:
        """Return whether a path is ignored. The strongest layer with a matching pattern decides."""
        for layer in (*reversed(self.project_layers), *reversed(self.gitignores), self.built_in):
            is_ignored = layer.decide(path, is_directory=is_directory)
            if is_ignored is not None:
                return is_ignored
        return False

    def names(self, path: str, *, is_directory: bool) -> bool:
        """Return whether the project's own layers re-include exactly this path, and not by a wildcard."""
        return any(layer.names(path, is_directory=is_directory) for layer in self.project_layers)


def read_ignore_file(file: Path, base: str, *, project_prefix: str = "") -> IgnoreLayer | None:
    """Return the layer of an ignore file, or ``None`` when there is no such file.

    Raises:
        BundleError: ``unreadable-file`` when it cannot be read, ``ignore-file`` when a line is not a valid pattern.
    """
    try:
        text = file.read_bytes().decode("utf-8", errors="surrogateescape")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None
    except OSError as error:
        raise BundleError(
            f"{base}{file.name} cannot be read: {(error.strerror or str(error)).lower()}.",
            code="unreadable-file",
            hint="Make it readable, or remove it.",
        ) from error
    return IgnoreLayer(base, parse_patterns(text.splitlines(), f"{base}{file.name}"), project_prefix)


def parse_patterns(lines: Iterable[str], source: str) -> tuple[IgnorePattern, ...]:
    """Parse the lines of an ignore file.

    Args:
        lines: The lines without line ends.
        source: Name of the file or setting, for error messages.

    Raises:
        BundleError: ``ignore-file``, quoting a line that git would reject.
    """
    return _parse_lines(tuple(lines), source)


@lru_cache(maxsize=_CACHED_FILES)  # `fnkit dev` selects the files at each save
def _parse_lines(lines: tuple[str, ...], source: str) -> tuple[IgnorePattern, ...]:
    try:
        with warnings.catch_warnings():
            # A pattern such as "[[a]" is valid. The regular expression that it becomes may get another meaning in a
            # later version of Python, which is nothing that a user can do something about.
            warnings.simplefilter("ignore", FutureWarning)
            compiled = GitIgnoreSpec.from_lines(lines).patterns
    except (ValueError, re.error) as error:
        raise BundleError(
            f"{source} contains a pattern that git does not accept: {error}.",
            code="ignore-file",
            hint="Write patterns as in a .gitignore file.",
        ) from error
    return tuple(
        IgnorePattern(one.regex, one.include, is_literal=_WILDCARDS.isdisjoint(str(one.pattern)))
        for one in compiled
        if one.regex is not None and one.include is not None
    )


def layers_below(directory: Path, base: str) -> tuple[IgnoreLayer, ...]:
    """Return ``repository_layers`` of a directory outside the project that has the path ``base`` in archives."""
    if not os.access(directory, os.X_OK):
        return ()  # listing it reports the error with its name
    return tuple(replace(layer, base=base) for layer in repository_layers(directory))


def repository_layers(root: Path) -> tuple[IgnoreLayer, ...]:
    """Return the layers of the repository around the project, outermost first.

    A project is often a directory of a repository whose only ``.gitignore`` is at its root. Where those rules
    ignore the project's directory itself, none of them is used: bundling the directory was requested explicitly.
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
        layer = read_ignore_file(parent / ".gitignore", "", project_prefix=above)
        if layer is not None:
            steps = above.rstrip("/").split("/")
            prefixes = ["/".join(steps[: count + 1]) for count in range(len(steps))]
            layer_above = IgnoreLayer("", layer.patterns)
            if any(layer_above.decide(prefix, is_directory=True) for prefix in prefixes):
                return ()
            found.append(layer)
    return tuple(found)
