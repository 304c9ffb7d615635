"""Imports run one way: the table below is the house's plan, and every module is held to it."""

import re
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.support.source_tree import REPOSITORY, Module, imports_of, modules

_VALUES = "platform.routing platform.layout platform.clock platform.log_lines platform.measurements"

ALLOWED: dict[str, str] = {
    "errors": "",
    "authoring": "errors",
    "contract": "errors",
    "scanner": "authoring contract errors",
    "project": "scanner authoring contract errors",
    "bundler": "project contract errors",
    "plan": "project bundler contract errors",
    "client": "contract errors",
    "deploy": "plan bundler client project scanner contract errors",
    "scaffold": "errors",
    "platform.layout": "contract errors",
    "platform.records": "contract errors",
    "platform.routing": "contract errors",
    "platform.clock": "platform.routing contract errors",
    "platform.log_lines": "contract errors",
    "platform.measurements": "contract errors",
    "platform.delivery_frames": "contract errors",
    "platform.brokers": "contract errors",
    "platform.logql": "platform.log_lines contract errors",
    "platform.store": "platform.records platform.layout contract errors",
    "platform.builds": "platform.records platform.layout contract errors",
    "platform.control": f"platform.records {_VALUES} platform.logql platform.store platform.builds contract errors",
    "platform.api": "platform.control platform.measurements platform.logql contract errors",
    "platform.console": "platform.control contract errors",
    "platform.schedulers": (
        "platform.control platform.records platform.layout platform.clock platform.logql platform.brokers"
        " platform.delivery_frames contract errors"
    ),
    "platform.engine": f"{_VALUES} contract errors",
    "platform.gateway": f"{_VALUES} platform.delivery_frames platform.engine contract errors",
    "platform.server": "platform.* contract errors",
    "cli": "*",
    "testing": "*",
}
"""Row → what it may import from fnkit. Shown word for word in docs/architecture.md."""


def may_import(row: str, target: str) -> bool:
    if row == target:
        return True
    allowed = ALLOWED[row].split()
    if "*" in allowed:
        return target not in {"cli", "testing"}
    return target in allowed or ("platform.*" in allowed and target.startswith("platform"))


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_module_imports_only_what_its_row_of_the_table_names(module: Module) -> None:
    if module.package in {"fnkit", "platform"}:
        return  # the roots have a test of their own
    refused = [
        f"{module.path}:{one.line} imports {one.target}"
        for one in imports_of(module)
        if one.package != "fnkit" and not may_import(module.package, one.package)
    ]
    assert refused == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_the_root_gives_its_version_to_fnkit_and_nothing_else(module: Module) -> None:
    taken = {name for one in imports_of(module) if one.target == "fnkit" for name in one.names or ("fnkit",)}
    assert taken <= {"__version__"}


def test_the_roots_import_the_authoring_names_and_nothing_else() -> None:
    roots = {module.name: {one.package for one in imports_of(module)} for module in modules()}
    assert roots["fnkit"] <= {"authoring"}
    assert roots["fnkit.platform"] == set()


def test_every_package_has_a_row() -> None:
    assert {module.package for module in modules()} - {"fnkit", "platform"} <= set(ALLOWED)


def test_the_table_has_no_cycle() -> None:
    everything = {row for row in ALLOWED if row not in {"cli", "testing"}}
    graph = {row: {target for target in everything if target != row and may_import(row, target)} for row in ALLOWED}
    TopologicalSorter(graph).prepare()


def test_the_kit_and_the_platform_never_meet_but_in_the_contract() -> None:
    kit = {"client", "deploy", "plan", "scanner", "bundler", "project", "scaffold"}
    platform = {row for row in ALLOWED if row.startswith("platform.")}
    meetings = [(a, b) for a in kit for b in platform if may_import(a, b) or may_import(b, a)]
    assert meetings == []


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    graph = {
        module.name: {one.target for one in imports_of(module, at_run_time=True)} - {module.name}
        for module in modules()
    }
    packages = {module.name for module in modules() if module.path.endswith("__init__.py")}
    # A package's __init__ gathers its modules; they name each other by their full names.
    edges = {name: set() if name in packages else targets - packages for name, targets in graph.items()}
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(f"a circle of imports: {' → '.join(error.args[1])}")


def test_the_architecture_page_shows_this_table() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z._]+)` \| (.*) \|$", page, re.MULTILINE)
    shown = {row: re.findall(r"`([a-z._*]+)`", cell) for row, cell in rows}
    assert shown == {row: allowed.split() for row, allowed in ALLOWED.items()}
