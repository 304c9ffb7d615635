"""A scan returns a report for any file content."""

from __future__ import annotations

import ast
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fnkit.scanner import scan
from fnkit.scanner.constants import NotConstant, fold

FRAGMENTS = st.sampled_from(
    [
        "from fnkit import function", "import fnkit", "@function", "@fnkit.cron('* * * * *')", "def f(e, c): ...",
        "class A:", "    @function", "    def g(self): ...", "X = {'a': [1]}", "X['a'] = 2", "@function(env=X)",
        "if X:", "else:", "for i in X:", "X, Y = 1, 2", "del X", "global X", "async def h(): yield",
        "@cron", "y = function(memory=X)", "@y", "from . import z", "(", ")", "'''", "\\", "\t", "\0", "match X:",
        "    case [a, *b]:", "with open(X) as X:", "X += 1", "X: int", "X: int = 3", "(X := 3)", "@function(**X)",
        "try:", "except* E:", "lambda: (yield)", "@function(memory=X if X else -X)", "f'{X!r:>{X}}'",
    ]
)  # fmt: skip


def scan_bytes(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "app.py")
        path.write_bytes(content)
        report = scan(Path(folder), [path])
    for problem in report.problems:
        assert problem.message
        assert problem.line is None or problem.line >= 1


@given(st.binary())
def test_scan_reports_on_any_bytes(content: bytes) -> None:
    scan_bytes(b"from fnkit import function\n" + content)


@given(st.lists(FRAGMENTS, max_size=12))
def test_scan_reports_on_any_sequence_of_code_lines(lines: list[str]) -> None:
    scan_bytes(("from fnkit import function, cron\n" + "\n".join(lines)).encode())


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(-1e9, 1e9) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)  # fmt: skip


def unknown(node: ast.Name) -> object:
    raise NotConstant(node, node.id)


def parsed(expression: str) -> ast.expr:
    return ast.parse(expression, mode="eval").body


@given(VALUES)
def test_literal_folds_to_its_value(value: object) -> None:
    assert fold(parsed(repr(value)), unknown) == value


NUMBERS = st.integers(-50, 50)
OPERATORS = st.sampled_from(["+", "-", "*", "//", "%", "**", "|", "&", "^", "<<", ">>", "==", "<", "and", "or"])


@given(st.lists(st.tuples(OPERATORS, NUMBERS), max_size=4), NUMBERS)
def test_folded_expression_equals_its_evaluation(parts: list[tuple[str, int]], first: int) -> None:
    expression = str(first)
    for operator, number in parts:
        expression = f"({expression}) {operator} ({number})"
    try:
        folded = fold(parsed(expression), unknown)
    except NotConstant:
        return
    assert folded == eval(expression)  # noqa: S307 - built from numbers and operators above
