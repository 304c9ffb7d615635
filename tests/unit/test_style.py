"""Style rules that would otherwise be checked in review."""

import ast
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.source_tree import PACKAGE, REPOSITORY, Module, modules

LINES_MAX = 600
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
MAY_PRINT = (
    "fnkit/cli/",
    "fnkit/platform/supervisor/",
    "fnkit/platform/control/process.py",
    "fnkit/platform/data_plane/process.py",
    "fnkit/platform/registry_forwarder.py",
    "fnkit/worker/",
)
OUTPUT_CALLS = {"print", "sys.exit", "exit", "quit", "logging.basicConfig", "logging.config.dictConfig"}

SUPPRESSION = re.compile(r"#\s*(?:ruff:\s*)?(noqa|type:\s*ignore|pragma|mypy|pyright)\b(.*)")
CODE = re.compile(r"(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*|\[[a-z-]+(?:,\s*[a-z-]+)*\])\s*(.*)")
REASON = re.compile(r"\w+\W+\w+")
SUPPRESSIONS_MAX = 85
"""In fnkit/. Lower it freely; a change that raises it must explain why."""


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_module_has_at_most_600_lines(module: Module) -> None:
    assert len(module.text.splitlines()) <= LINES_MAX


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_only_command_line_and_process_entry_points_print_or_exit(module: Module) -> None:
    if module.path.startswith(MAY_PRINT):
        return
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    found = [
        f"{module.path}:{c.lineno} {ast.unparse(c.func)}" for c in calls if ast.unparse(c.func) in OUTPUT_CALLS
    ]
    assert found == []


def test_no_module_has_a_generic_name() -> None:
    assert [module.path for module in modules() if FORBIDDEN_NAMES & set(module.name.split("."))] == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_every_module_has_a_docstring(module: Module) -> None:
    assert not module.text.strip() or ast.get_docstring(module.tree)


@cache
def suppressions(folder: Path) -> tuple[tuple[str, bool], ...]:
    """Return ``(place, explained)`` for every suppression in the folder."""
    return tuple(_suppressions(folder))


def _suppressions(folder: Path) -> Iterator[tuple[str, bool]]:
    for path in sorted(folder.rglob("*.py")):
        if {"projects", "templates", "typing"} & set(path.relative_to(REPOSITORY).parts):
            continue
        with path.open("rb") as file:
            comments = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
        lines = {token.start[0]: token for token in comments}
        for line, token in lines.items():
            if found := SUPPRESSION.search(token.string):
                above = lines.get(line - 1)
                is_comment_line = above is not None and above.line.lstrip().startswith("#")
                yield (
                    f"{path.relative_to(REPOSITORY)}:{line}",
                    is_explained(found[2], has_comment_above=is_comment_line),
                )


def is_explained(rest: str, *, has_comment_above: bool) -> bool:
    """Return whether a suppression names its rule and gives a reason, behind it or on the line above."""
    code = CODE.fullmatch(rest.strip())
    return code is not None and (has_comment_above or REASON.search(code[1]) is not None)


@pytest.mark.parametrize(
    ("rest", "explained"),
    [
        (": S101 - an internal error", True),
        (": S608, S101  constant names", True),
        ("[arg-type]  # the library's own type is too narrow", True),
        (": S101", False),
        ("", False),
        (" - because", False),
    ],
)
def test_suppression_without_reason_is_detected(rest: str, *, explained: bool) -> None:
    assert is_explained(rest, has_comment_above=False) is explained


@pytest.mark.parametrize("folder", ["fnkit", "tests", "benchmarks", "examples"])
def test_every_suppression_names_a_rule_and_a_reason(folder: str) -> None:
    assert [place for place, explained in suppressions(REPOSITORY / folder) if not explained] == []


def test_number_of_suppressions_is_limited() -> None:
    found = [place for place, _ in suppressions(PACKAGE)]
    assert len(found) <= SUPPRESSIONS_MAX, "\n".join(found)
