"""The environment of Python tests: packages of all functions, the group ``dev``, and the part of fnkit for tests.

fnkit is on no package index. So what tests need of it is copied from the running installation: decorators, rules of
events and responses, and the pytest plugin, which need the standard library only. The platform of the tests is run
by the command ``fnkit`` itself, with its own packages, so that they never conflict with those of the project.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

import fnkit.errors
from fnkit import __version__
from fnkit.bundler.builds.permission import AllowBuildsCallback
from fnkit.bundler.dependencies.install import install_lock, install_requirements
from fnkit.bundler.dependencies.lockfile import Lock
from fnkit.bundler.dependencies.locking import lock_target
from fnkit.bundler.model import ProgressCallback
from fnkit.bundler.target import BundleTarget
from fnkit.contract.distribution import DISTRIBUTION, OWN_REQUIREMENTS
from fnkit.environments.model import EnvironmentCache
from fnkit.environments.python import ensure_virtual_environment
from fnkit.errors import BundleError
from fnkit.project.dependency_groups import GroupEntry, InvalidGroup, read_group_table
from fnkit.project.model import Project
from fnkit.project.package_sources import (
    PackageSource,
    read_package_sources,
    select_indexes,
    unusable_source,
)
from fnkit.toolchains.resolution import Toolchains

_GROUP: Final = "dev"
_RUNNER: Final = "pytest"
_PACKAGE: Final = Path(fnkit.errors.__file__).parent
_PATTERNS: Final = (
    "__init__.py",
    "errors.py",
    "py.typed",
    "adapters/*.py",
    "authoring/**/*.py",
    "contract/__init__.py",
    "contract/limits.py",
    "contract/invocation/*.py",
    "testing/*.py",
    "worker/__init__.py",
    "worker/python/__init__.py",
    "worker/python/included_directories.py",
    "worker/python/serve.py",
)
_ENTRY_POINTS: Final = "[pytest11]\nfnkit = fnkit.testing.plugin\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonTestsRequest:
    """What the environment of a project's Python tests is made from.

    Attributes:
        runtime: The runtime whose interpreter runs the tests.
        cache: Where environments are kept.
        toolchains: The languages of this machine.
        report: Called at each step.
        allow_builds: Called before a build of a package runs.
    """

    project: Project
    runtime: str
    cache: EnvironmentCache
    toolchains: Toolchains
    report: ProgressCallback
    allow_builds: AllowBuildsCallback


def prepare_python_tests(request: PythonTestsRequest) -> Path:
    """Return the interpreter that runs the project's Python tests; make its environment if the cache lacks it.

    Raises:
        PlatformError: ``no-toolchain``.
        BundleError: The requirements cannot be resolved or installed, or the group is invalid.
    """
    interpreter = request.toolchains.resolve(request.runtime).interpreter
    target = BundleTarget.parse(request.runtime, interpreter.target)
    whole = lock_target(request.project, target, "local", report=request.report, allow_builds=request.allow_builds)
    lock = whole.select(whole.groups)
    groups = [_GROUP, *(group.name for group in request.project.dependency_groups)]
    sources = read_package_sources(request.project.root, groups)
    requirements = (
        *_requirements_beside(request.project, whole),
        *development_requirements(request.project.root, sources),
    )
    indexes = select_indexes(requirements, sources)
    own = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in _own_files()}

    def install(python: Path) -> None:
        root, cache = request.project.root, request.cache.bundler
        install_lock(lock, root, python, cache, report=request.report, allow_builds=request.allow_builds)
        install_requirements(requirements, root, python, pins=_pins(lock), indexes=indexes)
        _install_own_files(python, own)

    key = (
        "tests",
        *(one.sha256 for one in lock.packages),
        *requirements,
        str(indexes),
        *own.values(),
    )
    return ensure_virtual_environment(request.cache.root / "python", key, interpreter, install)


def development_requirements(root: Path, sources: Mapping[str, PackageSource]) -> tuple[str, ...]:
    """Return the requirements of the group ``dev``, fnkit itself left out, and pytest if the group has none.

    Args:
        root: The project's directory.
        sources: Where packages are taken from.

    Raises:
        BundleError: ``dependency-group``: it is not valid (PEP 735). ``requirement-place``: a package is taken from
            no index.
    """
    table = read_group_table(root)
    kept: list[str] = []
    has_runner = False
    try:
        for entry in table.entries(_GROUP) if _GROUP in table.names else ():
            name = _requirement_name(entry)
            has_runner = has_runner or name == _RUNNER
            if name not in OWN_REQUIREMENTS:
                _check_source(name, sources.get(name))
                kept.append(entry.text)
    except InvalidGroup as invalid:
        raise _group_error(invalid.group, invalid.reason) from None
    return tuple(dict.fromkeys(kept if has_runner else (*kept, _RUNNER)))


def _requirement_name(entry: GroupEntry) -> str:
    try:
        return str(canonicalize_name(Requirement(entry.text).name))
    except InvalidRequirement:
        raise InvalidGroup(entry.group, f"{entry.text!r} is no requirement") from None


def _check_source(name: str, source: PackageSource | None) -> None:
    if source is not None and source.place:
        message = unusable_source(name, source)
        raise BundleError(message, code="requirement-place", hint=source.hint, file="pyproject.toml")


def _requirements_beside(project: Project, lock: Lock) -> tuple[str, ...]:
    """Return the requirements of the groups that only functions of other runtimes have."""
    others = (group for group in project.dependency_groups if group.name not in lock.groups)
    return tuple(line for group in others for line in group.requirements)


def _group_error(name: str, reason: str) -> BundleError:
    return BundleError(
        f"The dependency group {name} cannot be used: {reason}.",
        code="dependency-group",
        hint='Write it as in PEP 735: dev = ["pytest>=8"] in [dependency-groups].',
        file="pyproject.toml",
    )


def _pins(lock: Lock) -> tuple[str, ...]:
    return tuple(f"{one.name}=={one.version}" for one in lock.packages)


def _own_files() -> list[Path]:
    return sorted({path for pattern in _PATTERNS for path in _PACKAGE.glob(pattern)})


def _install_own_files(python: Path, files: Mapping[Path, str]) -> None:
    """Copy fnkit's files, and register the pytest plugin as an installation would."""
    [packages] = python.parent.parent.glob("lib/python3*/site-packages")
    for file in files:
        copy = packages / "fnkit" / file.relative_to(_PACKAGE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
    name = DISTRIBUTION.replace("-", "_")
    info = packages / f"{name}-{__version__}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {DISTRIBUTION}\nVersion: {__version__}\n"
    (info / "METADATA").write_text(metadata, "utf-8")
    (info / "entry_points.txt").write_text(_ENTRY_POINTS, "utf-8")
    (info / "INSTALLER").write_text("fnkit\n", "utf-8")
    (info / "RECORD").write_text("", "utf-8")
