"""Collects the error codes in fnkit's source, with the messages and hints that are literals.

Codes are ``code="…"`` in a call, ``default_code = "…"`` in an error class, and the first argument of the calls in
``BY_POSITION``. ``reject(key, reason)`` reports an invalid value in ``brokers.toml``. ``…`` stands for values that
are inserted at run time.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.support.source_tree import Module, modules

CODE = re.compile(r"[a-z]+(-[a-z0-9…]+)*")
PLACEHOLDER = re.compile(r"\{[a-z_]+\}")
BY_POSITION = {
    "Problem",
    "ArgumentProblem",
    "ControlError",
    "add",
    "add_problem",
    "_add_problem",
    "_import_problem",
    "_problem",
    "problem",
    "_with_import_problem",
}


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One place that raises or reports a code."""

    code: str
    message: str
    hint: str
    location: str


@cache
def error_codes() -> tuple[ErrorCode, ...]:
    """Return every location, sorted by code and location."""
    found = [one for module in modules() for one in _in_module(module)]
    return tuple(sorted(found, key=lambda one: (one.code, one.location)))


def _in_module(module: Module) -> Iterator[ErrorCode]:
    scopes = [
        module.tree,
        *(n for n in ast.walk(module.tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)),
    ]
    seen: set[int] = set()
    for scope in reversed(scopes):  # innermost first, because its assignments shadow the outer ones
        texts = _assigned_texts(scope)
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and id(node) not in seen:
                seen.add(id(node))
                yield from _in_call(module, node, texts)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            yield from _default_code(module, node)


def _in_call(module: Module, call: ast.Call, texts: dict[str, str]) -> Iterator[ErrorCode]:
    keywords = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    place = f"{module.path}:{call.lineno}"
    if "code" in keywords:
        message = call.args[0] if call.args else keywords.get("message")
        for code in _texts(keywords["code"]):
            yield ErrorCode(code, _first_text(message, texts), _first_text(keywords.get("hint"), texts), place)
    elif name in BY_POSITION and len(call.args) >= 2:
        codes = [code for code in _texts(call.args[0]) if CODE.fullmatch(code) and "-" in code]
        hint = call.args[2] if len(call.args) > 2 else keywords.get("hint")
        for code in codes:
            yield ErrorCode(code, _first_text(call.args[1], texts), _first_text(hint, texts), place)
    elif name == "reject" and len(call.args) >= 2:
        key, reason = _first_text(call.args[0], texts) or "…", _first_text(call.args[1], texts)
        hint = call.args[2] if len(call.args) > 2 else None
        yield ErrorCode("broker-invalid", f"{key} {reason}.", _first_text(hint, texts), place)


def _default_code(module: Module, node: ast.ClassDef) -> Iterator[ErrorCode]:
    for statement in node.body:
        target = getattr(statement, "target", None) or next(iter(getattr(statement, "targets", [])), None)
        if isinstance(target, ast.Name) and target.id == "default_code":
            summary = (ast.get_docstring(node) or "").splitlines()[0]
            for code in _texts(getattr(statement, "value", None)):
                yield ErrorCode(code, summary, "", f"{module.path}:{node.lineno}")


def _assigned_texts(scope: ast.AST) -> dict[str, str]:
    """Return the ``name = "text"`` assignments of a scope."""
    found: dict[str, str] = {}
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            texts = _texts(node.value)
            if texts:
                found.setdefault(node.targets[0].id, texts[0])
    return found


def _first_text(node: ast.expr | None, texts: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return texts.get(node.id, "")
    return next(iter(_texts(node)), "")


def _texts(node: ast.expr | None) -> list[str]:
    """Return the possible values of a text expression: a constant, an f-string, a conditional or a sum."""
    match node:
        case ast.Constant(value=str(text)):
            return [PLACEHOLDER.sub("…", text)]
        case ast.JoinedStr(values=values):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in values]
            return ["".join(str(part) for part in parts)]
        case ast.IfExp(body=body, orelse=orelse):
            return [*_texts(body), *_texts(orelse)]
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return [a + b for a in _texts(left) or ["…"] for b in _texts(right) or ["…"]]
        case _:
            return []


def distinct_sentences(texts: list[str]) -> list[str]:
    """Return the texts that have more than one word, without repetitions, in order."""
    return [text for text in dict.fromkeys(texts) if " " in text.strip(" …")]
