"""Imports run one way: the table below is the house's plan, and every module is held to it."""

import re
from graphlib import CycleError, TopologicalSorter

import pytest

from tests.support.source_tree import REPOSITORY, Module, imports_of, modules

_KIT = "authoring contract errors"
_CONTROL_BASE = "platform.control platform.model contract errors"

ALLOWED: dict[str, str] = {
    "errors": "",
    "authoring": "errors",
    "worker": "",
    "contract": "errors",
    "scanner": _KIT,
    "project": f"scanner {_KIT}",
    "bundler": f"scanner project {_KIT}",
    "plan": f"scanner project bundler {_KIT}",
    "client": "contract errors",
    "deploy": f"scanner project bundler plan client {_KIT}",
    "scaffold": "contract errors",
    "invoke": "project bundler client deploy worker contract errors",
    "platform.model": "contract errors",
    "platform.logql": "platform.model contract errors",
    "platform.brokers": "platform.model contract errors",
    "platform.data_plane": "platform.model worker contract errors",
    "platform.control": "platform.control.store platform.model platform.brokers contract errors",
    "platform.control.store": "platform.model contract errors",
    "platform.control.logs": f"platform.control.store platform.logql {_CONTROL_BASE}",
    "platform.control.deployments": f"platform.control.store {_CONTROL_BASE}",
    "platform.control.resources": (
        f"platform.control.store platform.control.logs platform.control.deployments {_CONTROL_BASE}"
    ),
    "platform.control.events": (
        f"platform.control.store platform.control.resources platform.brokers platform.logql {_CONTROL_BASE}"
    ),
    "platform.control.api": (
        "platform.control.process platform.control.resources platform.control.events platform.control.logs"
        f" platform.logql {_CONTROL_BASE}"
    ),
    "platform.control.process": "platform.* contract errors",
    "platform.supervisor": "platform.* contract errors",
    "cli": f"scaffold scanner project bundler plan client deploy invoke platform.supervisor.launcher {_KIT}",
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
