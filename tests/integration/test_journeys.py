"""The journeys of ``docs/architecture.md``: each listed function exists, and no unlisted module is called."""

from __future__ import annotations

import ast
import sys
from functools import cache
from pathlib import Path

import pytest

from tests.support.journeys import JOURNEYS, PAGE, Step, described_steps, traced_journeys
from tests.support.source_tree import modules

if sys.platform != "linux":
    pytest.skip("the platform runs on Linux", allow_module_level=True)
pytest.importorskip("nats", reason="the journey of a message needs nats-py")

DESCRIBED = described_steps(PAGE.read_text(encoding="utf-8"))


@cache
def functions() -> set[Step]:
    """Return every function and method of fnkit."""
    found: set[Step] = set()

    def visit(path: str, node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                found.add(Step(path, f"{prefix}{child.name}"))
                # A dataclass has an __init__ that is not in the source.
                if isinstance(child, ast.ClassDef):
                    found.add(Step(path, f"{prefix}{child.name}.__init__"))
                visit(path, child, f"{prefix}{child.name}.")
            else:
                visit(path, child, prefix)

    for module in modules():
        visit(module.path, module.tree, "")
    return found


@pytest.mark.parametrize("name", JOURNEYS)
def test_journey_lists_only_existing_functions(name: str) -> None:
    assert DESCRIBED[name]
    assert [step for step in DESCRIBED[name] if step not in functions()] == []


@pytest.mark.parametrize("name", JOURNEYS)
def test_journey_passes_through_few_files(name: str) -> None:
    assert len({step.path for step in DESCRIBED[name]}) <= JOURNEYS[name].files_max


@pytest.mark.long
@pytest.mark.slow
def test_journey_lists_every_module_that_is_called(tmp_path: Path) -> None:
    traced = traced_journeys(tmp_path)
    described = {name: {step.path for step in steps} for name, steps in DESCRIBED.items()}
    undescribed = {name: {step.path for step in steps} - described[name] for name, steps in traced.items()}
    assert undescribed == {name: set() for name in JOURNEYS}
