"""Rules of the house that a reader would otherwise have to check by eye."""

import ast
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.source_tree import PACKAGE, REPOSITORY, Module, modules

LINES_MAX = 600
FORBIDDEN_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "misc"}
MAY_SPEAK = (
    "fnkit/cli/",
    "fnkit/platform/supervisor/",
    "fnkit/platform/control/process.py",
    "fnkit/platform/data_plane/process.py",
    "fnkit/worker/",
)
SPEAKING_CALLS = {"print", "sys.exit", "exit", "quit", "logging.basicConfig", "logging.config.dictConfig"}

SUPPRESSION = re.compile(r"#\s*(?:ruff:\s*)?(noqa|type:\s*ignore|pragma|mypy|pyright)\b(.*)")
CODE = re.compile(r"(?::\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*|\[[a-z-]+(?:,\s*[a-z-]+)*\])\s*(.*)")
REASON = re.compile(r"\w+\W+\w+")
SUPPRESSIONS_MAX = 90
"""In fnkit/. It may fall; whoever raises it explains why in the change."""


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_module_holds_at_most_six_hundred_lines(module: Module) -> None:
    assert len(module.text.splitlines()) <= LINES_MAX


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_only_the_command_line_and_the_platform_s_processes_speak(module: Module) -> None:
    if module.path.startswith(MAY_SPEAK):
        return
    calls = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    spoken = [
        f"{module.path}:{c.lineno} {ast.unparse(c.func)}" for c in calls if ast.unparse(c.func) in SPEAKING_CALLS
    ]
    assert spoken == []


def test_no_module_is_called_by_a_name_that_says_nothing() -> None:
    assert [module.path for module in modules() if FORBIDDEN_NAMES & set(module.name.split("."))] == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_module_says_what_it_is(module: Module) -> None:
    assert not module.text.strip() or ast.get_docstring(module.tree)


def suppressions(folder: Path) -> Iterator[tuple[str, bool]]:
    """``(place, explained)`` of every suppression under the folder."""
    for path in sorted(folder.rglob("*.py")):
        if {"projects", "templates", "typing"} & set(path.relative_to(REPOSITORY).parts):
            continue
        with path.open("rb") as file:
            comments = [token for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
        lines = {token.start[0]: token for token in comments}
        for line, token in lines.items():
            if found := SUPPRESSION.search(token.string):
                above = lines.get(line - 1)
                stands_alone = above is not None and above.line.lstrip().startswith("#")
                yield (
                    f"{path.relative_to(REPOSITORY)}:{line}",
                    is_explained(found[2], has_comment_above=stands_alone),
                )


def is_explained(rest: str, *, has_comment_above: bool) -> bool:
    """Whether a suppression names its code, and gives a reason: behind it, or on the line above."""
    code = CODE.fullmatch(rest.strip())
    return code is not None and (has_comment_above or REASON.search(code[1]) is not None)


@pytest.mark.parametrize(
    ("rest", "explained"),
    [
        (": S101 - a fault of ours", True),
        (": S608, S101  own names", True),
        ("[arg-type]  # the library's own type is too narrow", True),
        (": S101", False),
        ("", False),
        (" - because", False),
    ],
)
def test_a_reason_is_told_from_none(rest: str, *, explained: bool) -> None:
    assert is_explained(rest, has_comment_above=False) is explained


@pytest.mark.parametrize("folder", ["fnkit", "tests", "benchmarks", "examples"])
def test_every_suppression_carries_a_code_and_a_reason(folder: str) -> None:
    assert [place for place, explained in suppressions(REPOSITORY / folder) if not explained] == []


def test_suppressions_are_counted() -> None:
    found = [place for place, _ in suppressions(PACKAGE)]
    assert len(found) <= SUPPRESSIONS_MAX, "\n".join(found)
