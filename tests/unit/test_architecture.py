"""Imports are limited to the table below, which docs/architecture.md shows and explains."""

from __future__ import annotations

import ast
import re
import sys
from graphlib import TopologicalSorter

import pytest

from tests.support.source_tree import REPOSITORY, Module, imports_of, modules, row_of
from tests.support.structure import duplicate_public_classes, import_cycles

_KIT = "authoring contract errors"
_PLATFORM = "platform.model contract errors"
_SOCKETS_AND_FILES = "platform.directory_tree platform.listening_sockets platform.peers platform.rotating_log"
_DATA_PLANE = f"platform.data_plane {_SOCKETS_AND_FILES} {_PLATFORM}"
_CONTROL = f"platform.control platform.control.store {_SOCKETS_AND_FILES} {_PLATFORM}"

ALLOWED: dict[str, str] = {
    "errors": "",
    "authoring": "errors",
    "adapters": "authoring",
    "worker": "",
    "contract": "errors",
    "core_runtime": "contract worker",
    "toolchains": "worker contract errors",
    "scanner": f"worker {_KIT}",
    "project": f"scanner {_KIT}",
    "bundler": f"scanner project toolchains {_KIT}",
    "plan": f"scanner project bundler {_KIT}",
    "client": "contract errors",
    "deploy": f"scanner project bundler plan client {_KIT}",
    "scaffold": "contract errors",
    "environments": "project bundler toolchains testing worker contract errors",
    "testing": "authoring adapters worker contract errors",
    "invoke": "project bundler environments client worker contract errors",
    "logs": "client contract errors",
    "dev": f"scanner project bundler plan client deploy logs {_KIT}",
    "cli": (
        "scaffold scanner project bundler plan client deploy dev environments invoke logs toolchains "
        f"platform.supervisor.launcher {_KIT}"
    ),
    "platform.model": "contract errors",
    "platform.logql": _PLATFORM,
    "platform.brokers": _PLATFORM,
    "platform.directory_tree": "",
    "platform.listening_sockets": "",
    "platform.peers": "",
    "platform.rotating_log": "",
    "platform.registry_forwarder": "platform.listening_sockets",
    "platform.data_plane": f"{_SOCKETS_AND_FILES} {_PLATFORM}",
    "platform.data_plane.gateway": _DATA_PLANE,
    "platform.data_plane.engine": _DATA_PLANE,
    "platform.data_plane.workers": f"worker {_DATA_PLANE}",
    "platform.data_plane.local": f"platform.data_plane.engine platform.data_plane.workers {_DATA_PLANE}",
    "platform.data_plane.kubernetes": f"platform.data_plane.engine {_DATA_PLANE}",
    "platform.data_plane.engines": (
        "platform.data_plane.engine platform.data_plane.workers platform.data_plane.local "
        f"platform.data_plane.kubernetes {_DATA_PLANE}"
    ),
    "platform.data_plane.process": f"platform.data_plane.gateway platform.data_plane.engines {_DATA_PLANE}",
    "platform.control.store": _PLATFORM,
    "platform.control": f"platform.control.store {_SOCKETS_AND_FILES} {_PLATFORM}",
    "platform.control.logs": f"platform.logql {_CONTROL}",
    "platform.control.images": f"worker {_CONTROL}",
    "platform.control.deployments": f"worker toolchains platform.control.images {_CONTROL}",
    "platform.control.resources": (
        f"platform.control.deployments platform.control.images platform.control.logs {_CONTROL}"
    ),
    "platform.control.events": f"platform.control.resources platform.brokers {_CONTROL}",
    "platform.control.control_plane": (
        "platform.control.deployments platform.control.events platform.control.images platform.control.logs "
        "platform.control.resources toolchains " + _CONTROL
    ),
    "platform.control.api": (
        "platform.control.control_plane platform.control.images platform.control.resources platform.control.logs "
        "platform.logql " + _CONTROL
    ),
    "platform.control.process": (
        f"platform.control.api platform.control.control_plane platform.control.logs {_CONTROL}"
    ),
    "platform.supervisor": f"platform.control.store platform.brokers {_SOCKETS_AND_FILES} {_PLATFORM}",
    "platform.supervisor.launcher": f"platform.supervisor {_SOCKETS_AND_FILES} {_PLATFORM}",
}
"""Row → what it may import from fnkit. A module belongs to the row with the longest matching prefix."""

ROOTS = {"fnkit", "fnkit.platform"}
"""Modules without a row."""


def may_import(row: str, target: str) -> bool:
    return row == target or target in ALLOWED[row].split()


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_module_imports_only_what_its_row_of_the_table_allows(module: Module) -> None:
    if module.name in ROOTS:
        return  # tested separately
    row = row_of(module.name, ALLOWED)
    violations = [
        f"{module.path}:{one.line} imports {one.target}"
        for one in imports_of(module)
        if one.target not in ROOTS and not may_import(row, row_of(one.target, ALLOWED))
    ]
    assert violations == []


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_modules_import_only_the_version_from_the_root(module: Module) -> None:
    imported = {name for one in imports_of(module) if one.target == "fnkit" for name in one.names or ("fnkit",)}
    assert imported <= {"__version__"}


def test_roots_import_nothing_but_the_authoring_package() -> None:
    imported = {one.name: {row_of(target.target, ALLOWED) for target in imports_of(one)} for one in modules()}
    assert imported["fnkit"] <= {"authoring"}
    assert imported["fnkit.platform"] == set()


def test_every_module_has_a_row_and_every_row_a_module() -> None:
    names = {module.name for module in modules()} - ROOTS
    assert {name for name in names if not row_of(name, ALLOWED)} == set()
    assert {row_of(name, ALLOWED) for name in names} == set(ALLOWED)


def test_table_has_no_cycle() -> None:
    TopologicalSorter({row: allowed.split() for row, allowed in ALLOWED.items()}).prepare()


def test_kit_and_platform_share_only_contract_worker_toolchains_and_launcher() -> None:
    shared = {"contract", "core_runtime", "errors", "toolchains", "worker"}
    platform = {row for row in ALLOWED if row.startswith("platform.")}
    kit = set(ALLOWED) - platform - shared
    crossings = {(a, b) for a in kit for b in platform if may_import(a, b) or may_import(b, a)}
    assert crossings == {("cli", "platform.supervisor.launcher")}
    assert {row for row in ALLOWED if may_import(row, "worker")} == {
        "worker",
        "core_runtime",
        "environments",
        "invoke",
        "testing",
        "toolchains",
        "platform.control.deployments",
        "platform.control.images",
        "platform.data_plane.workers",
        "scanner",
    }


@pytest.mark.parametrize(
    "module", [one for one in modules() if one.name.startswith("fnkit.worker")], ids=lambda module: module.name
)
def test_worker_imports_only_the_standard_library(module: Module) -> None:
    assert foreign_imports(module) == set()


IN_IMAGES = ("fnkit.core_runtime", "fnkit.contract.invocation", "fnkit.contract.limits", "fnkit.worker")


@pytest.mark.parametrize(
    "module", [one for one in modules() if one.name.startswith(IN_IMAGES)], ids=lambda module: module.name
)
def test_files_of_an_image_import_only_each_other_and_the_standard_library(module: Module) -> None:
    may_be_missing = {"msgspec"} if module.name == "fnkit.contract.invocation.strict_json" else set()
    assert {name for name in foreign_imports(module) if not name.startswith(IN_IMAGES)} == may_be_missing


def foreign_imports(module: Module) -> set[str]:
    """Return the imported modules that do not belong to the standard library."""
    imported = set()
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(str(node.module))
    return {name for name in imported if name.partition(".")[0] not in sys.stdlib_module_names}


def test_no_import_cycles_even_for_types() -> None:
    assert import_cycles() == []


def test_public_class_names_are_unique() -> None:
    assert duplicate_public_classes() == []


def test_architecture_page_shows_the_table() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z._]+)` \| (.*) \|$", page, re.MULTILINE)
    shown = {row: set(re.findall(r"`([a-z._]+)`", cell)) for row, cell in rows}
    assert shown == {row: set(allowed.split()) for row, allowed in ALLOWED.items()}
