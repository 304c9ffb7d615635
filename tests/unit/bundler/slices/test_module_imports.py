"""Import statements and dynamic imports, read from a file's syntax tree."""

import pytest

from fnkit.bundler.slices.module_imports import ImportStatement, read_module_imports


def test_imports_are_read_with_line_and_relative_level() -> None:
    source = b"import a.b as c\nfrom d import e, f\nfrom . import g\nfrom ..h.i import *\n"
    assert read_module_imports(source).imports == (
        ImportStatement("a.b", (), 0, 1, is_required=True),
        ImportStatement("d", ("e", "f"), 0, 2, is_required=True),
        ImportStatement("", ("g",), 1, 3, is_required=True),
        ImportStatement("h.i", ("*",), 2, 4, is_required=True),
    )


@pytest.mark.parametrize(
    "source",
    [
        "try:\n    import x\nexcept ImportError:\n    x = None",
        "try:\n    import x\nexcept (ValueError, ModuleNotFoundError):\n    x = None",
        "try:\n    import x\nexcept:\n    x = None",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import x",
        "def f():\n    import x",
        "async def f():\n    import x",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import x",
        "class A:\n    def f(self):\n        import x",
    ],
)
def test_guarded_or_deferred_import_is_not_required(source: str) -> None:
    [statement] = [one for one in read_module_imports(source.encode()).imports if one.module == "x"]
    assert statement.is_required is False


@pytest.mark.parametrize(
    "source", ["import x", "class A:\n    import x", "try:\n    import x\nexcept ValueError: pass"]
)
def test_import_at_module_load_is_required(source: str) -> None:
    assert read_module_imports(source.encode()).imports[0].is_required is True


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import importlib\n", "line 1 imports importlib, which imports by name"),
        ("from importlib import import_module\n", "line 1 imports importlib, which imports by name"),
        ("import importlib.resources\n", "line 1 imports importlib.resources, which imports by name"),
        ("\nx = __import__('y')\n", "line 2 uses __import__"),
        ("exec('import y')\n", "line 1 uses exec"),
        ("f = eval\n", "line 1 uses eval"),
        ("import sys\nsys.path.insert(0, 'x')\n", "line 2 uses sys.path"),
        ("import sys as s\ns.modules['x'] = 1\n", "line 2 uses sys.modules"),
        ("from sys import path\n", "line 1 changes where modules are found"),
        ("import runpy\n", "line 1 imports runpy, which runs files by name"),
        ("import pickle\n", "line 1 imports pickle, which imports the classes that pickled data names"),
        ("x = open(here + '/plugin.py').read()\n", "line 1 names Python files in a string"),
        ("x = f'{name}.py'\n", "line 1 names Python files in a string"),
        ("app.config.from_object('settings')\n", "line 1 uses from_object"),
        ("import os\nos.system('x')\n", "line 2 uses system"),
        ("getattr(builtin, '__import__')('y')\n", "line 1 names __import__ in a string"),
        ("def broken(:\n", "line 1 cannot be parsed by this Python"),
        ("x = '\0'\n", "line 1 cannot be parsed by this Python"),
    ],
)
def test_dynamic_import_is_reported_with_its_line(source: str, reason: str) -> None:
    assert read_module_imports(source.encode()).dynamic_reason == reason


@pytest.mark.parametrize(
    "source",
    [
        "import re\nx = re.compile('a')\n",
        "frame.eval('a + b')\n",
        "from importlib.metadata import version\n",
        "from inspect import signature\n",
        "headers = {'Access-Control-Allow-Origin': '*'}\n",
        "import sys\nprint(sys.version, file=sys.stderr)\n",
        '"""See other.py."""\n',
        "import os\nx = os.environ['HOME']\n",
    ],
)
def test_ordinary_code_is_not_reported_as_dynamic(source: str) -> None:
    assert read_module_imports(source.encode()).dynamic_reason is None


def test_declared_source_encoding_is_used() -> None:
    source = "# -*- coding: latin-1 -*-\nimport café\n".encode("latin-1")
    assert read_module_imports(source).imports[0].module == "café"


def test_deeply_nested_source_does_not_crash_the_parser() -> None:
    deep = b"x = " + b"(" * 150 + b"1" + b")" * 150 + b"\n"
    wide = b"x = " + b"+".join([b"1"] * 20000) + b"\n"
    for source in (deep, wide):
        module_imports = read_module_imports(source)
        assert module_imports.dynamic_reason is None or module_imports.dynamic_reason.startswith("line 1 ")


def test_dotted_strings_are_collected() -> None:
    assert read_module_imports(
        b"a = 'app.tasks'\nb = 'app:run'\nc = 'single'\nd = 'not a.name'\n"
    ).dotted_strings == (
        "app.tasks",
        "app:run",
    )
