"""Selects the files of a project that go into its archives.

Ignored directories are never opened. git need not be installed and the project need not be a repository; a test
compares the result with ``git ls-files -co --exclude-standard``. Saved plans and files that usually contain secrets
are recognised and left out.
"""

# Plain os.path calls: a project has tens of thousands of files, and Path objects double the time.
# ruff: noqa: PTH110, PTH112, PTH113, PTH118

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from fnkit.bundler.files import ignore
from fnkit.bundler.files.content import TEMPORARY_PREFIX, unreadable_file_error
from fnkit.bundler.files.links import LinkTargets
from fnkit.bundler.files.secret_files import DOTENV_PREFIX, is_secret_directory, is_secret_file
from fnkit.errors import BundleError
from fnkit.project.included_directories import IncludedDirectory, shown_path

_SAVED_PLAN_PREFIX: Final = b'{\n  "fnkit_plan": '
"""The first bytes of every saved plan, as ``fnkit.plan.model.encode_plan`` writes it; a test compares the two."""

_PRUNED_DIRECTORIES = frozenset(
    {
        ".git", ".hg", ".svn", ".bzr", ".venv", "venv", "node_modules", "__pycache__", ".mypy_cache",
        ".ruff_cache", ".pytest_cache", ".hypothesis", ".tox", ".nox", ".eggs", ".fnkit", ".ipynb_checkpoints",
    }
)  # fmt: skip
"""Directories that are never entered, whatever the ignore files contain."""
_NEVER_SELECTED_PREFIXES = (DOTENV_PREFIX, TEMPORARY_PREFIX)
"""Another run may be writing a lock file under a temporary name, which is gone before its content is read."""
_CONTROL_CHARACTERS = frozenset(chr(code) for code in (*range(32), 127))


def _is_saved_plan(root: Path, path: str) -> bool:
    """Return whether a selected file is a saved plan.

    Checks files in the project's root directory only, where plans are usually saved: opening every file would cost
    more than the walk itself.
    """
    if "/" in path or path.endswith(".py"):
        return False
    try:
        with (root / path).open("rb") as file:
            return file.read(len(_SAVED_PLAN_PREFIX)) == _SAVED_PLAN_PREFIX
    except OSError:
        return False  # hashing the file reports the error with its name


@dataclass(frozen=True, slots=True)
class Selection:
    """The files of a project, as paths relative to its root with ``/``, sorted by their UTF-8 bytes.

    Attributes:
        files: What ships.
        withheld: What would ship if its name were not that of a secret. Directories end with ``/``.
    """

    files: tuple[str, ...]
    withheld: tuple[str, ...]


def select_files(
    root: Path, exclude: tuple[str, ...] = (), included: tuple[IncludedDirectory, ...] = ()
) -> tuple[str, ...]:
    """Return the files of ``select_project``."""
    return select_project(root, exclude, included).files


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionRules:
    """What a language adds to the ignore rules of a project, in git's pattern syntax.

    Attributes:
        exclude: The setting ``exclude``.
        included: Included although a ``.gitignore`` or the built-in list excludes them, such as the compiled code
            that a handler string names. The setting and ``.fnkitignore`` are stronger.
        never: Excluded whatever else applies, such as the output of a compiler.
        entered: Names of directories to enter, of those that are otherwise never entered.
        built_in: The built-in list.
        only_git: Whether the setting and ``.fnkitignore``, which say what ships, do not apply.
    """

    exclude: tuple[str, ...] = ()
    included: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    entered: frozenset[str] = frozenset()
    built_in: tuple[str, ...] = ignore.BUILT_IN_PATTERNS
    only_git: bool = False


def literal_pattern(path: str) -> str:
    """Return the pattern that matches one path, relative to the project's root, and nothing else."""
    return "/" + re.sub(r"([\\*?\[\]!# ])", r"\\\1", path)


def select_project(
    root: Path, exclude: tuple[str, ...] = (), included: tuple[IncludedDirectory, ...] = ()
) -> Selection:
    """Select the files of a project as ``select_by_rules`` does, with no rules but the setting ``exclude``."""
    return select_by_rules(root, SelectionRules(exclude=exclude), included)


def select_by_rules(
    root: Path, selection_rules: SelectionRules, included: tuple[IncludedDirectory, ...] = ()
) -> Selection:
    """Select the files of a project that go into its archives.

    Symbolic links inside the project, and into included directories, are followed and shipped as their targets.
    Files named ``.env*``, saved plans and fnkit's own temporary files are never selected.

    Args:
        root: The project's directory.
        selection_rules: Further patterns.
        included: The directories outside the project that links may lead to.

    Raises:
        BundleError: ``link-outside``, ``link-broken``, ``link-loop``, ``link-secret``, ``file-name``,
            ``unreadable-file``, ``ignore-file``.
    """
    resolved = Path(os.path.realpath(root))
    rules = _ignore_rules(resolved, selection_rules)
    walk = _ProjectWalk(resolved, _PRUNED_DIRECTORIES - selection_rules.entered, included)
    files = [path for path in walk.files("", rules, ()) if not _is_saved_plan(resolved, path)]
    return _selection(files, walk.withheld)


def select_included(
    root: Path, selection_rules: SelectionRules, included: tuple[IncludedDirectory, ...]
) -> Selection:
    """Select the files of the included directories, as if they were in the project's under their names.

    The built-in list and the ``.gitignore`` files of the repository apply to each as to a project's directory. The
    setting ``exclude`` and ``.fnkitignore`` are the project's.

    Args:
        root: The project's directory.
        selection_rules: Further patterns.
        included: The directories.

    Raises:
        BundleError: As for ``select_by_rules``.
    """
    files: list[str] = []
    withheld: list[str] = []
    for directory in included:
        base = f"{directory.name}/"
        rules = _ignore_rules(Path(os.path.realpath(root)), selection_rules)
        rules = ignore.IgnoreRules(
            built_in=replace(rules.built_in, base=base),
            gitignores=ignore.layers_below(directory.directory, base),
            project_layers=rules.project_layers,
        )
        pruned = _PRUNED_DIRECTORIES - selection_rules.entered
        walk = _ProjectWalk(Path(os.path.realpath(root)), pruned, included, directory)
        files += walk.files(base, rules, ())
        withheld += walk.withheld
    return _selection(files, withheld)


def _selection(files: Iterable[str], withheld: Iterable[str]) -> Selection:
    return Selection(files=tuple(sorted(files, key=os.fsencode)), withheld=tuple(sorted(withheld, key=os.fsencode)))


def _ignore_rules(root: Path, selection_rules: SelectionRules) -> ignore.IgnoreRules:
    own = [_layer(selection_rules.included, "The handler strings")]
    if not selection_rules.only_git:
        own.append(_layer(selection_rules.exclude, "The setting exclude"))
        own.append(ignore.read_ignore_file(root / ".fnkitignore", ""))
    own.append(_layer(selection_rules.never, "The excluded directories"))
    return ignore.IgnoreRules(
        built_in=ignore.IgnoreLayer("", ignore.parse_patterns(selection_rules.built_in, "The built-in patterns")),
        gitignores=ignore.repository_layers(root),
        project_layers=tuple(layer for layer in own if layer is not None),
    )


def _layer(patterns: tuple[str, ...], source: str) -> ignore.IgnoreLayer | None:
    return ignore.IgnoreLayer("", ignore.parse_patterns(patterns, source)) if patterns else None


class _ProjectWalk:
    """One pass over the directories of a project, or of an included directory.

    Attributes:
        withheld: What was left out so far because of its name.
    """

    def __init__(
        self,
        project: Path,
        pruned: frozenset[str],
        included: tuple[IncludedDirectory, ...],
        walked: IncludedDirectory | None = None,
    ) -> None:
        self.withheld: list[str] = []
        self._pruned = pruned
        self._links = LinkTargets(project, included)
        self._walked = () if walked is None else (walked,)
        self._root = os.fspath(project if walked is None else walked.directory)
        self._base = "" if walked is None else f"{walked.name}/"

    def _full(self, path: str) -> str:
        """Return where a path of an archive is on this machine."""
        return os.path.join(self._root, path[len(self._base) :])

    def _shown(self, path: str) -> str:
        return shown_path(self._walked, path)

    def files(self, base: str, rules: ignore.IgnoreRules, linked_directories: tuple[str, ...]) -> Iterator[str]:
        """Yield the selected files under ``base``.

        Args:
            base: ``""`` or ``"a/b/"``.
            rules: The ignore rules that apply in ``base``.
            linked_directories: Real paths of the linked directories on the way here, to detect loops.
        """
        entries = self._list_directory(base)
        active_rules = rules
        if any(entry.name == ".gitignore" for entry in entries):
            file = Path(self._full(base), ".gitignore")
            active_rules = rules.with_gitignore(ignore.read_ignore_file(file, base))
        for entry in entries:
            path = base + entry.name
            if entry.is_symlink():
                yield from self._follow_link(path, active_rules, linked_directories)
            elif entry.is_dir(follow_symlinks=False):
                if self._includes_directory(path, active_rules):
                    yield from self.files(path + "/", active_rules, linked_directories)
            elif entry.is_file(follow_symlinks=False) and self._includes_file(path, active_rules):
                yield path

    def _list_directory(self, base: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._full(base)) as entries:
                return list(entries)
        except OSError as error:
            raise unreadable_file_error(self._shown(base).rstrip("/") or ".", error) from error

    def _includes_directory(self, path: str, rules: ignore.IgnoreRules) -> bool:
        name = path.rpartition("/")[2]
        if name in self._pruned or rules.is_ignored(path, is_directory=True):
            return False
        check_file_name(self._shown(path))
        if self._withholds(path, rules, is_directory=True):
            return False
        # Every virtual environment has this file at its root, whatever the directory's name.
        return not os.path.exists(os.path.join(self._full(path), "pyvenv.cfg"))

    def _includes_file(self, path: str, rules: ignore.IgnoreRules) -> bool:
        name = path.rpartition("/")[2]
        if name.startswith(_NEVER_SELECTED_PREFIXES) or rules.is_ignored(path, is_directory=False):
            return False
        check_file_name(self._shown(path))
        if self._withholds(path, rules, is_directory=False):
            return False
        if not os.access(self._full(path), os.R_OK):
            raise unreadable_file_error(self._shown(path), PermissionError(13, "permission denied"))
        return True

    def _withholds(self, path: str, rules: ignore.IgnoreRules, *, is_directory: bool) -> bool:
        name = path.rpartition("/")[2]
        is_secret = is_secret_directory(name) if is_directory else is_secret_file(name)
        if not is_secret or rules.names(path, is_directory=is_directory):
            return False
        self.withheld.append(path + "/" if is_directory else path)
        return True

    def _follow_link(
        self, path: str, rules: ignore.IgnoreRules, linked_directories: tuple[str, ...]
    ) -> Iterator[str]:
        """Follow a symbolic link.

        git lists a link as a file, so a pattern for directories (``name/``) does not ignore the link itself.
        """
        name = path.rpartition("/")[2]
        if name in self._pruned or name.startswith(DOTENV_PREFIX) or rules.is_ignored(path, is_directory=False):
            return
        check_file_name(self._shown(path))
        if self._withholds(path, rules, is_directory=False):
            return
        target = self._links.resolve(self._full(path), self._shown(path))
        self._links.check_secret(path, target, rules, shown=self._shown(path))
        if os.path.isdir(target):
            if not self._includes_directory(path, rules):
                return
            if target in linked_directories or f"{self._full(path)}/".startswith(f"{target}/"):
                raise BundleError(
                    f"The symbolic link {self._shown(path)} points to a directory that contains it.",
                    code="link-loop",
                    hint="Remove the link, or list it in .fnkitignore.",
                )
            inner = rules
            if self._links.is_included(target):  # the rules above the target apply too, as where it is
                inner = replace(
                    rules, gitignores=(*rules.gitignores, *ignore.layers_below(Path(target), path + "/"))
                )
            yield from self.files(path + "/", inner, (*linked_directories, target))
        elif os.path.isfile(target) and self._includes_file(path, rules):
            yield path


def check_file_name(path: str) -> None:
    """Reject names that some unpackers or file systems cannot represent.

    Raises:
        BundleError: ``file-name``.
    """
    try:
        path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _file_name_error(path, "is not valid UTF-8") from error
    if not _CONTROL_CHARACTERS.isdisjoint(path):
        raise _file_name_error(path, "contains a control character")
    if "\\" in path:
        raise _file_name_error(path, "contains a backslash, which some systems treat as a separator")


def _file_name_error(path: str, reason: str) -> BundleError:
    return BundleError(
        f"The file name {path!a} {reason}.",
        code="file-name",
        hint="Rename the file, or list it in .fnkitignore.",
    )
