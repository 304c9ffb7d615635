"""Archives of projects with included directories do not depend on where the repository is, nor on the order."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.bundler.model import Bundle
from tests.support.bundle_projects import BundleRun
from tests.support.examples import examples
from tests.support.repositories import project_including, write_repository

_DIRECTORIES = ("libs/one", "libs/two", "code/src/three", "four")
_FILES = ("a.py", "b.py", "__init__.py", "deep/c.py", "deep/data.txt", ".env", "x.pem", "tests/t.py", ".gitignore")
_CONTENTS = ("", "VALUE = 1\n", "import one\n", "from two import a\n", "import three.deep.c\n", "*.txt\n")

_trees = st.dictionaries(
    st.tuples(st.sampled_from(_DIRECTORIES), st.sampled_from(_FILES)), st.sampled_from(_CONTENTS), max_size=12
)
_orders = st.permutations(_DIRECTORIES)
_places = st.sampled_from(("here", "some/where/else", "a b/ü"))
_imports = st.lists(st.sampled_from(("one.a", "two.b", "three.deep.c", "four")), max_size=3)

_SETTINGS = '[defaults]\nruntime = "python313"\n'


def _bundled(
    folder: Path, place: str, tree: dict[tuple[str, str], str], order: list[str], imports: list[str]
) -> Bundle:
    files: dict[str, str | bytes] = {f"{directory}/{name}": text for (directory, name), text in tree.items()}
    files |= {f"{directory}/keep.txt": "" for directory in _DIRECTORIES}
    project = write_repository(folder / place, files)
    optional = "".join(f"try:\n    import {name}\nexcept ImportError:\n    pass\n" for name in imports)
    handler = f"from fnkit import function\n{optional}\n@function\ndef hello(event, context): ...\n"
    found = project_including(project, [f"../../{one}" for one in order], {"main.py": handler}, settings=_SETTINGS)
    return BundleRun(folder / f"run-{place.replace('/', '-')}").bundle(found)


@settings(deadline=None, max_examples=examples(25))
@given(_trees, _orders, _orders, _places, _imports)
def test_archive_depends_on_content_alone(
    tree: dict[tuple[str, str], str], first: list[str], second: list[str], place: str, imports: list[str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        one = _bundled(Path(folder), "first", tree, first, imports)
        other = _bundled(Path(folder), place, tree, second, imports)
        assert one.path.read_bytes() == other.path.read_bytes()
        assert one.digest == other.digest
        assert [part.digest for part in one.slices] == [part.digest for part in other.slices]


@settings(deadline=None, max_examples=examples(25))
@given(_trees, _orders, _imports)
def test_archive_equals_that_of_a_project_with_the_directories_in_it(
    tree: dict[tuple[str, str], str], order: list[str], imports: list[str]
) -> None:
    """Apart from what the built-in list names at a project's root, such as ``tests/``."""
    kept = {key: text for key, text in tree.items() if not key[1].startswith(("tests/", ".gitignore"))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        outside = _bundled(folder, "outside", kept, order, imports)
        project = write_repository(folder / "inside", {})
        for (directory, file), text in kept.items():
            target = project / directory.rpartition("/")[2] / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        for directory in _DIRECTORIES:
            target = project / directory.rpartition("/")[2] / "keep.txt"
            target.parent.mkdir(exist_ok=True)
            target.touch()
        main = (folder / "outside/services/shop/main.py").read_text()
        inside = BundleRun(folder / "run").bundle(
            project_including(project, [], {"main.py": main}, settings=_SETTINGS)
        )
        assert outside.path.read_bytes() == inside.path.read_bytes()
        assert [part.digest for part in outside.slices] == [part.digest for part in inside.slices]
