"""All public functions are fully annotated, so that type checkers of users infer no implicit ``Any``."""

import ast
import inspect
from collections.abc import Iterator
from typing import get_type_hints

import pytest

import fnkit
from tests.support.source_tree import PACKAGE, Module, modules

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
BUILT_IN_GENERICS = {"dict", "list", "set", "frozenset", "tuple", "type"}
GENERICS = BUILT_IN_GENERICS | {"Mapping", "Sequence", "Iterator", "Iterable", "Callable"}


def public_functions(module: Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield the public functions, and the public methods of public classes, ``__init__`` included."""
    for node in module.tree.body:
        if isinstance(node, FUNCTIONS) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            methods = [one for one in node.body if isinstance(one, FUNCTIONS)]
            yield from (one for one in methods if not one.name.startswith("_") or one.name.startswith("__"))


def unannotated(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return the parameters without an annotation, ``self`` and ``cls`` excepted, and ``return`` if it has none."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    variadic = [one for one in (arguments.vararg, arguments.kwarg) if one is not None]
    missing = [one.arg for one in [*named, *variadic] if one.annotation is None and one.arg not in {"self", "cls"}]
    return missing if function.returns is not None else [*missing, "return"]


def bare_generics(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    """Return annotations that are a generic type without parameters, which means ``Any`` for each of them."""
    arguments = function.args
    annotations = [one.annotation for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    texts = [ast.unparse(one) for one in [*annotations, function.returns] if one is not None]
    return [text for text in texts if text in GENERICS]


def test_every_public_function_and_method_is_annotated() -> None:
    found = {
        f"{module.path}:{function.lineno} {function.name}: {', '.join(missing)}"
        for module in modules()
        for function in public_functions(module)
        if (missing := [*unannotated(function), *bare_generics(function)])
    }
    assert found == set()


@pytest.mark.parametrize("name", [name for name in fnkit.__all__ if not name.startswith("__")])
def test_type_hints_of_the_authoring_names_resolve(name: str) -> None:
    thing = getattr(fnkit, name)
    assert get_type_hints(thing)
    if inspect.isfunction(thing):
        assert set(inspect.signature(thing).parameters) | {"return"} == set(get_type_hints(thing))


def test_package_has_a_py_typed_marker() -> None:
    assert (PACKAGE / "py.typed").is_file()


@pytest.mark.parametrize(
    ("source", "missing"),
    [
        ("def f(a: int, *b: int, c: int = 1, **d: int) -> None: ...", []),
        ("def f(self, a, *b, c=1, **d): ...", ["a", "c", "b", "d", "return"]),
        ("async def f(a: list) -> dict: ...", ["list", "dict"]),
    ],
)
def test_missing_annotation_is_detected(source: str, missing: list[str]) -> None:
    (function,) = ast.parse(source).body
    assert isinstance(function, FUNCTIONS)
    assert [*unannotated(function), *bare_generics(function)] == missing
