"""An edit that changes the result of a function changes its digest; an edit of unreachable code does not."""

import tempfile
import zipfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.bundle_projects import BundleRun, call_handler, function_spec, project_with
from tests.support.examples import examples
from tests.support.project_tree import write_files

_MODULES = ("one", "two", "lib.three", "lib.four", "plain.five", "handlers.six", "lib")
"""``lib`` is a package, ``plain`` and ``handlers`` are folders without ``__init__.py``."""
_FORMS = (
    "import {module} as m{index}",
    "def late():\n    import {module} as found\n    return found\nm{index} = late()",
    "import importlib\nm{index} = importlib.import_module('{start}' + '{end}')",
    "m{index} = __import__('{module}', fromlist=['VALUE'])",
    "try:\n    import {module} as m{index}\nexcept ImportError:\n    m{index} = None",
)
_FROM = "from {parent} import {leaf} as m{index}"
_READ = "import pathlib\nDATA = (pathlib.Path(__file__).parent.parent / 'data.txt').read_text()"

_edges = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6), st.sampled_from((*_FORMS, _FROM))), max_size=9)
_handlers = st.lists(
    st.tuples(st.sampled_from(_MODULES), st.sampled_from((*_FORMS, _FROM))), min_size=0, max_size=3
)


def _path_of(module: str) -> str:
    return "lib/__init__.py" if module == "lib" else module.replace(".", "/") + ".py"


def _line(form: str, module: str, index: int) -> str:
    parent, _, leaf = module.rpartition(".")
    form = _FORMS[0] if form == _FROM and not parent else form
    middle = len(module) // 2
    return form.format(
        module=module, index=index, parent=parent, leaf=leaf, start=module[:middle], end=module[middle:]
    )


def _source(value: int, imports: list[tuple[str, str]]) -> str:
    lines = [_line(form, module, index) for index, (module, form) in enumerate(imports)]
    total = " + ".join([str(value), *(f"getattr(m{index}, 'VALUE', 0)" for index in range(len(imports)))])
    return "\n".join([*lines, f"VALUE = {total}", ""])


def _project(
    edges: list[tuple[int, int, str]], handler_imports: list[tuple[str, str]], *, reads: bool
) -> dict[str, str]:
    files = {
        # Modules import only later modules, so that no import cycle hides a value.
        _path_of(module): _source(
            10**index, [(_MODULES[to], form) for start, to, form in edges if start == index and to > start]
        )
        for index, module in enumerate(_MODULES)
    }
    handler = _source(0, handler_imports) + (_READ if reads else "DATA = ''")
    files["handlers/h.py"] = handler + "\ndef handle(event, context):\n    return [VALUE, DATA]\n"
    files["data.txt"] = "data"
    return files


def _bundled(folder: Path, files: dict[str, str]) -> tuple[str, str]:
    """Return a function's digest, and its result when it runs from the archive."""
    write_files(folder / "project", files)
    project = project_with(folder / "project", function_spec("h", "handlers/h.handle"))
    bundle = BundleRun(folder).bundle(project)
    with zipfile.ZipFile(bundle.path) as archive:
        archive.extractall(folder / "unpacked")
    return bundle.slice_of("h").digest, call_handler(folder / "unpacked", "handlers/h.handle")


@settings(deadline=None, max_examples=examples(25))
@given(_edges, _handlers, st.sampled_from((*_MODULES, "data")), st.sampled_from(("read", "unread")))
def test_edit_that_changes_the_result_changes_the_digest(
    edges: list[tuple[int, int, str]], handler_imports: list[tuple[str, str]], edited: str, data: str
) -> None:
    before = _project(edges, handler_imports, reads=data == "read")
    after = dict(before)
    if edited == "data":
        after["data.txt"] = "other"
    else:
        after[_path_of(edited)] += "VALUE += 5\n"
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        digest, result = _bundled(Path(first), before)
        digest_after, result_after = _bundled(Path(second), after)
    assert result == result_after or digest != digest_after


def test_edit_of_unreachable_code_keeps_the_digest(tmp_path: Path) -> None:
    files = _project([(0, 1, _FORMS[0])], [("lib.three", _FROM)], reads=False)
    digest, _ = _bundled(tmp_path / "before", files)
    digest_after, _ = _bundled(tmp_path / "after", files | {"one.py": "VALUE = 7\n", "new.py": ""})
    assert digest == digest_after


def test_every_kind_of_relevant_edit_changes_the_digest(tmp_path: Path) -> None:
    files = _project([], [("lib.three", _FROM)], reads=True)
    base, _ = _bundled(tmp_path / "base", files)
    edits: dict[str, dict[str, str]] = {
        "module": {"lib/three.py": "VALUE = 7\n"},
        "package": {"lib/__init__.py": "VALUE = 7\n"},
        "data": {"data.txt": "other"},
        "new data": {"more.txt": ""},
        "handler": {"handlers/h.py": files["handlers/h.py"] + "\n"},
        "module that shadows the standard library": {"json.py": ""},
        "module that shadows the imported one": {"handlers/lib/three.py": ""},
    }
    digests = {name: _bundled(tmp_path / name.replace(" ", "-"), files | edit)[0] for name, edit in edits.items()
               if "shadows" not in name}  # fmt: skip
    for name in ("module that shadows the standard library", "module that shadows the imported one"):
        folder = tmp_path / name.replace(" ", "-")
        write_files(folder / "project", files | edits[name])
        bundle = BundleRun(folder).bundle(project_with(folder / "project", function_spec("h", "handlers/h.handle")))
        digests[name] = bundle.slice_of("h").digest
    assert len({base, *digests.values()}) == len(edits) + 1, digests
