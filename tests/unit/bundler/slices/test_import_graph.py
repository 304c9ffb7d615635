"""The import graph: which files a handler can import."""

from collections.abc import Mapping

import pytest

from fnkit.bundler.slices.import_graph import ProjectTree, Reachability, trace_imports
from fnkit.bundler.slices.module_imports import read_module_imports


def reachable(handler: str, files: Mapping[str, str], always: frozenset[str] = frozenset()) -> Reachability:
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
def test_import_statement_reaches_every_file_it_may_load(imported: str, expected: set[str]) -> None:
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
    assert set(reachable("handlers/h.py", files).files) == expected | {"handlers/h.py"}


def test_reachability_is_transitive_and_handles_import_cycles() -> None:
    files = {"h.py": "import a", "a.py": "from b import x", "b.py": "import a, c", "c.py": "", "d.py": "import h"}
    assert reachable("h.py", files).files == ("a.py", "b.py", "c.py", "h.py")


def test_reachable_dynamic_import_selects_the_whole_project() -> None:
    files = {"h.py": "import a", "a.py": "import importlib", "other.py": ""}
    found = reachable("h.py", files)
    assert found.files == ("a.py", "h.py", "other.py")
    assert found.whole_project_reason == "a.py line 1 imports importlib, which imports by name"


def test_unreachable_dynamic_import_is_ignored() -> None:
    found = reachable("h.py", {"h.py": "", "other.py": "import importlib"})
    assert (found.files, found.whole_project_reason) == (("h.py",), None)


def test_glob_selects_the_whole_project_only_with_file_paths() -> None:
    listing = "for x in folder.glob('*'):\n    pass"
    assert reachable("h.py", {"h.py": listing}).whole_project_reason is None
    found = reachable("h.py", {"h.py": "from place import folder\n" + listing, "place.py": "folder = __file__"})
    assert found.whole_project_reason == "h.py line 2 lists files with glob"


def test_modules_loaded_implicitly_are_always_reachable() -> None:
    files = {"h.py": "", "sitecustomize.py": "", "json.py": "", "other.py": ""}
    assert reachable("h.py", files, frozenset({"json", "sitecustomize"})).files == (
        "h.py",
        "json.py",
        "sitecustomize.py",
    )


def test_unresolved_import_is_reported_with_its_location() -> None:
    files = {
        "h.py": "import a\nimport json",
        "a.py": "\nimport absent.part\ntry:\n    import maybe\nexcept ImportError: pass",
    }
    assert [(one.module, one.file, one.line) for one in reachable("h.py", files).unresolved] == [
        ("json", "h.py", 2),
        ("absent.part", "a.py", 2),
    ]
