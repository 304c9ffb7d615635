"""Which files a handler can import."""

from collections.abc import Mapping

import pytest

from fnkit.bundler.slices.import_graph import ProjectTree, Reachability, trace_imports
from fnkit.bundler.slices.module_imports import read_module_imports


def reach(handler: str, files: Mapping[str, str], always: frozenset[str] = frozenset()) -> Reachability:
    return trace_imports(
        handler, ProjectTree(frozenset(files)), lambda path: read_module_imports(files[path].encode()), always
    )


@pytest.mark.parametrize(
    ("imported", "expected"),
    [
        ("import shared", {"shared.py"}),
        ("import beside", {"handlers/beside.py"}),
        ("import handlers.beside", {"handlers/beside.py"}),
        ("from handlers import beside", {"handlers/beside.py"}),
        ("import lib", {"lib/__init__.py"}),
        ("import lib.deep.leaf", {"lib/__init__.py", "lib/deep/__init__.py", "lib/deep/leaf.py"}),
        ("from lib import one", {"lib/__init__.py", "lib/one.py"}),
        ("from lib.one import thing", {"lib/__init__.py", "lib/one.py"}),
        ("from lib import *", {"lib/__init__.py", "lib/one.py", "lib/two.py", "lib/deep/__init__.py"}),
        ("from . import beside", {"handlers/beside.py"}),
        ("from .beside import x", {"handlers/beside.py"}),
        ("from ..shared import x", {"shared.py"}),
        ("import both", {"both.py", "handlers/both.py"}),
        ("import absent", set()),
        ("import plain.data", {"plain/data.py"}),
        ("x = 'lib.one'", {"lib/__init__.py", "lib/one.py"}),
        ("x = 'shared:NAME'", {"shared.py"}),
        ("x = 'shared.created'", set()),
        ("def f():\n    import shared", {"shared.py"}),
    ],
)
def test_an_import_reaches_every_file_it_may_load(imported: str, expected: set[str]) -> None:
    files = {
        "handlers/h.py": imported,
        "handlers/beside.py": "",
        "handlers/both.py": "",
        "both.py": "",
        "shared.py": "NAME = 1",
        "lib/__init__.py": "",
        "lib/one.py": "",
        "lib/two.py": "",
        "lib/deep/__init__.py": "",
        "lib/deep/leaf.py": "",
        "plain/data.py": "",
    }
    assert set(reach("handlers/h.py", files).files) == expected | {"handlers/h.py"}


def test_reach_follows_imports_of_imports_and_ends_in_circles() -> None:
    files = {"h.py": "import a", "a.py": "from b import x", "b.py": "import a, c", "c.py": "", "d.py": "import h"}
    assert reach("h.py", files).files == ("a.py", "b.py", "c.py", "h.py")


def test_a_dynamic_import_anywhere_in_reach_makes_it_the_whole_project() -> None:
    files = {"h.py": "import a", "a.py": "import importlib", "other.py": ""}
    found = reach("h.py", files)
    assert found.files == ("a.py", "h.py", "other.py")
    assert found.whole_project_reason == "a.py line 1 imports importlib, which imports by name"


def test_a_dynamic_import_out_of_reach_changes_nothing() -> None:
    found = reach("h.py", {"h.py": "", "other.py": "import importlib"})
    assert (found.files, found.whole_project_reason) == (("h.py",), None)


def test_listing_files_counts_where_the_code_knows_its_own_place() -> None:
    listing = "for x in folder.glob('*'):\n    pass"
    assert reach("h.py", {"h.py": listing}).whole_project_reason is None
    found = reach("h.py", {"h.py": "from place import folder\n" + listing, "place.py": "folder = __file__"})
    assert found.whole_project_reason == "h.py line 2 lists files with glob"


def test_files_that_python_loads_unasked_are_always_reached() -> None:
    files = {"h.py": "", "sitecustomize.py": "", "json.py": "", "other.py": ""}
    assert reach("h.py", files, frozenset({"json", "sitecustomize"})).files == (
        "h.py",
        "json.py",
        "sitecustomize.py",
    )


def test_what_nothing_provides_is_named_with_its_place() -> None:
    files = {
        "h.py": "import a\nimport json",
        "a.py": "\nimport absent.part\ntry:\n    import maybe\nexcept ImportError: pass",
    }
    assert [(one.module, one.file, one.line) for one in reach("h.py", files).unresolved] == [
        ("json", "h.py", 2),
        ("absent.part", "a.py", 2),
    ]
