"""What is public: ``__all__`` of a package, and everything else whose name does not start with ``_``."""

import ast
from collections.abc import Iterator
from importlib import import_module

import pytest

import fnkit
from fnkit.scanner.names import EXPORTED_NAMES
from tests.support.source_tree import Module, modules

PACKAGES = [module for module in modules() if module.path.endswith("__init__.py")]


def imports_of_package(module: Module) -> Iterator[ast.ImportFrom]:
    """Yield the statements that import names from modules of fnkit, wherever they are."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "fnkit":
            yield node


def test_no_module_imports_a_private_name_of_another() -> None:
    found = {
        f"{module.path}:{statement.lineno} {alias.name}"
        for module in modules()
        for statement in imports_of_package(module)
        for alias in statement.names
        if alias.name.startswith("_") and not alias.name.startswith("__")
    }
    assert found == set()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.name)
def test_package_lists_what_it_exports(package: Module) -> None:
    imported = {
        alias.name
        for node in imports_of_package(package)
        if node in package.tree.body
        for alias in node.names
        if not alias.name.startswith("_")
    }
    loaded = import_module(package.name)
    exported = getattr(loaded, "__all__", [])
    assert imported <= set(exported)
    assert [name for name in exported if not hasattr(loaded, name)] == []


def test_fnkit_exports_exactly_the_authoring_names() -> None:
    types = [
        "Body",
        "Context",
        "Cookie",
        "Event",
        "FunctionUrl",
        "Header",
        "HttpError",
        "Path",
        "Query",
        "Response",
    ]
    assert fnkit.__all__ == [*types, "__version__", "cron", "function", "trigger", "url_of"]


def test_scanner_knows_what_fnkit_exports() -> None:
    assert {*EXPORTED_NAMES, "__version__"} == set(fnkit.__all__)
