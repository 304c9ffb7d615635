"""Measure the source tree: sizes, import cycles, duplicate names, comment density.

Run with ``python -m tests.support.structure`` (``make metrics``); ``--json`` prints one JSON object. Modules are
counted without ``__init__.py``. Lines of code are those without blank lines, comments and docstrings.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import statistics
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.support.source_tree import PACKAGE, Module, imports_of, modules

SHORT_FILE_LINES = 60
"""A module of at most this many lines counts as short."""
_NOT_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip


def measure() -> dict[str, int | float | list[str]]:
    """Return every figure of the source tree by name."""
    sources = [module for module in modules() if not module.path.endswith("__init__.py")]
    lines = sorted(len(module.text.splitlines()) for module in sources)
    functions = sorted(_function_lengths(sources))
    comments = sum(_comment_lines(module.text) for module in modules())
    total = sum(len(module.text.splitlines()) for module in modules())
    return {
        "modules": len(sources),
        "lines": total,
        "lines of code": sum(code_lines(module) for module in modules()),
        "file lines, median": int(statistics.median(lines)),
        "file lines, p90": _percentile(lines, 90),
        "file lines, max": lines[-1],
        "files of at most 60 lines, %": round(100 * sum(n <= SHORT_FILE_LINES for n in lines) / len(lines), 1),
        "function lines, median": int(statistics.median(functions)),
        "function lines, p90": _percentile(functions, 90),
        "packages in platform/": sum(
            1 for path in (PACKAGE / "platform").iterdir() if (path / "__init__.py").exists()
        ),
        "import cycles, type-only ones included": len(import_cycles()),
        "public classes with a name used twice": len(duplicate_public_classes()),
        "comment lines per 100": round(100 * comments / total, 1),
    }


def code_lines(module: Module) -> int:
    """Count lines with code: no blank lines, comments or docstrings."""
    documented = {
        line for node in _docstrings(module.tree) for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    with_code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type not in _NOT_CODE:
            with_code.update(range(token.start[0], token.end[0] + 1))
    return len(with_code - documented)


def import_cycles() -> list[list[str]]:
    """Return the groups of modules that import each other, type-only imports included, without ``__init__``."""
    packages = {module.name for module in modules() if module.path.endswith("__init__.py")}
    edges = {
        module.name: {one.target for one in imports_of(module)} - packages - {module.name}
        for module in modules()
        if module.name not in packages
    }
    return [sorted(group) for group in _strong_components(edges) if len(group) > 1]


def duplicate_public_classes() -> list[str]:
    """Return the names of public top-level classes that more than one module defines."""
    names = Counter(
        node.name
        for module in modules()
        for node in module.tree.body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    return sorted(name for name, count in names.items() if count > 1)


def _function_lengths(sources: Sequence[Module]) -> Iterator[int]:
    for module in sources:
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                yield (node.end_lineno or node.lineno) - node.lineno + 1


def _comment_lines(text: str) -> int:
    """Count lines that hold nothing but a comment, and comments behind code."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return len({token.start[0] for token in tokens if token.type == tokenize.COMMENT})


def _docstrings(tree: ast.Module) -> Iterator[ast.Expr]:
    """Yield docstrings, those of attributes included: string expressions that stand as statements."""
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            yield node


def _strong_components(edges: dict[str, set[str]]) -> list[set[str]]:
    """Return the strongly connected components by plain reachability, which a few hundred modules allow."""
    reach: dict[str, set[str]] = {}
    for start in edges:
        seen: set[str] = set()
        pending = [start]
        while pending:
            for target in edges.get(pending.pop(), set()) - seen:
                seen.add(target)
                pending.append(target)
        reach[start] = seen
    components: list[set[str]] = []
    placed: set[str] = set()
    for name in edges:
        if name not in placed:
            group = {name} | {other for other in reach[name] if name in reach.get(other, set())}
            placed |= group
            components.append(group)
    return components


def _percentile(values: Sequence[int], percent: int) -> int:
    """Return the smallest value that at least ``percent`` of the sorted values do not exceed."""
    return values[max(0, -(-len(values) * percent // 100) - 1)]


def main(arguments: Sequence[str]) -> int:
    """Print the figures, and the names behind those that should be zero."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.structure")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    figures = measure()
    if options.json:
        print(json.dumps(figures, indent=2))  # noqa: T201 - the output of a script
        return 0
    for name, value in figures.items():
        print(f"{name:42} {value:>8}")  # noqa: T201 - see above
    for group in import_cycles():
        print("cycle:", ", ".join(group))  # noqa: T201 - see above
    for name in duplicate_public_classes():
        print("defined more than once:", name)  # noqa: T201 - see above
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
