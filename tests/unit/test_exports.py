"""``__all__`` of every module lists all its public definitions, and only names that exist."""

import ast
from importlib import import_module

import pytest

import fnkit
from tests.support.source_tree import Module, modules


def declared(module: Module) -> list[str] | None:
    """Return the module's ``__all__`` as its source lists it."""
    for node in module.tree.body:
        if isinstance(node, ast.Assign) and any(
            isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets
        ):
            return list(ast.literal_eval(node.value))
    return None


def public_definitions(module: Module) -> set[str]:
    """Return the functions and classes whose name does not start with ``_``."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return {node.name for node in module.tree.body if isinstance(node, kinds) and not node.name.startswith("_")}


WITH_CODE = [module for module in modules() if public_definitions(module) and ".worker." not in module.name]


@pytest.mark.parametrize("module", WITH_CODE, ids=lambda module: module.name)
def test_all_lists_every_public_definition(module: Module) -> None:
    exported = declared(module)
    assert exported is not None, f"{module.path} has no __all__"
    assert public_definitions(module) <= set(exported)


@pytest.mark.parametrize("module", [m for m in modules() if declared(m)], ids=lambda module: module.name)
def test_every_name_in_all_exists_and_is_listed_once(module: Module) -> None:
    exported = declared(module) or []
    assert len(exported) == len(set(exported))
    if ".worker." in module.name or module.name.endswith("__main__"):
        return
    loaded = import_module(module.name)
    assert [name for name in exported if not hasattr(loaded, name)] == []


def test_fnkit_exports_exactly_the_authoring_names() -> None:
    assert fnkit.__all__ == ["Context", "Event", "Response", "__version__", "cron", "function", "trigger"]
