"""File selection agrees with git on random trees and ignore files."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.bundler.files.selection import select_files
from tests.support.examples import examples
from tests.support.project_tree import write_files

_NAMES = ("a", "b", "c", "ab", "a.py", "b.txt", "c.log", "a b", "é.txt", "[x]", "#hash", "!bang", "UPPER")
_PATTERNS = (
    "a", "b", "/a", "a/", "/a/", "*.py", "*.txt", "!*.txt", "!a", "!/a/", "a/b", "/a/b", "a/*", "a/**", "**/b",
    "**/a/", "a/**/c", "*", "!*/", "!a.py", "?", "[ab]", "[!a]", "\\#hash", "\\!bang", "# comment", "", "  ",
    "a b", "a\\ b", "b.txt ", "[x]", "\\[x\\]", "UPPER", "upper", "*.l?g", "/*/b", "!c/b", "c/", "*b", "a*", "é*",
)  # fmt: skip

_paths = st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4).map("/".join)
_ignore_files = st.lists(st.sampled_from(_PATTERNS), max_size=6).map("\n".join)
_trees = st.tuples(
    st.sets(_paths, min_size=1, max_size=14),
    st.dictionaries(
        st.lists(st.sampled_from(_NAMES), max_size=2).map("/".join), _ignore_files, min_size=1, max_size=4
    ),
)


def _write_tree(root: Path, paths: set[str], ignores: dict[str, str]) -> None:
    for path in sorted(paths):
        under_a_file = any((root / path).parents[depth].is_file() for depth in range(path.count("/") + 1))
        if not under_a_file and not (root / path).is_dir():
            write_files(root, {path: "x"})
    for folder, text in ignores.items():
        if (root / folder).is_dir():
            (root / folder / ".gitignore").write_text(text + "\n")


def _git(root: Path, *arguments: str) -> bytes:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(root)}
    return subprocess.run(["git", *arguments], cwd=root, env=environment, capture_output=True, check=True).stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="compares with git, which fnkit itself does not need")
@settings(deadline=None, max_examples=examples(150))
@given(_trees)
def test_selected_files_equal_those_that_git_lists(tree: tuple[set[str], dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _write_tree(root, *tree)
        _git(root, "init", "-q")
        listed = _git(root, "ls-files", "-co", "--exclude-standard", "-z").decode().split("\0")
        expected = {name for name in listed if name and not name.endswith(".gitignore")}
        assert set(select_files(root)) == expected
