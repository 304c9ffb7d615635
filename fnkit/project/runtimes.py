"""Selects and checks the runtimes of functions, from the recorded table and the runtimes that a platform has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from packaging.specifiers import SpecifierSet

from fnkit.contract.enums import RuntimeStatus
from fnkit.contract.resources import Runtime
from fnkit.contract.runtimes import RUNTIMES, find_runtime, python_runtime, python_version
from fnkit.project.model import SourceLocation
from fnkit.project.problems import ProblemList, did_you_mean

_CREATABLE_STATUSES: Final = (RuntimeStatus.AVAILABLE, RuntimeStatus.BETA, RuntimeStatus.DEPRECATED)


def creatable_runtimes(runtimes: Iterable[Runtime] = RUNTIMES) -> frozenset[str]:
    """Return the names of the runtimes for which functions can be created; by default of the recorded table's."""
    return frozenset(runtime.name for runtime in runtimes if runtime.status in _CREATABLE_STATUSES)


def default_runtime(
    available: Iterable[str], host_python: tuple[int, int], requires_python: SpecifierSet | None = None
) -> str:
    """Return the runtime of a new Python function that names none.

    It is that of the host's Python, which parses the source, if it is available and the project supports it; else
    the newest available one that the project supports.

    Args:
        available: Names of the available runtimes.
        host_python: Version of the Python that runs fnkit.
        requires_python: The versions that the project supports; ``None`` for all.
    """
    supported = SpecifierSet() if requires_python is None else requires_python
    versions = {
        version: name
        for name in frozenset(available)
        # 3.13.99, because a bound such as >=3.11.4 is met by the newest patch release, which is what runs.
        if (version := runtime_version(name)) is not None and supported.contains(f"{version[0]}.{version[1]}.99")
    }
    if host_python in versions:
        return versions[host_python]
    return versions[max(versions)] if versions else python_runtime(*host_python)


def accepts_updates(name: str) -> bool:
    """Return whether functions of a runtime that accepts no new ones can still be updated."""
    row = find_runtime(name)
    return row is not None and row.status == RuntimeStatus.END_OF_SUPPORT


def check_runtime(name: str, available: frozenset[str], source: SourceLocation, problems: ProblemList) -> bool:
    """Check that a runtime can be used; return whether it is a known runtime."""
    row = find_runtime(name)
    if name in available:
        return True
    if row is None:
        known = did_you_mean(name, available)
        hint: str | None = known or f"The platform has {', '.join(sorted(available))}."
        problems.add("unknown-runtime", f"There is no runtime {name!r}.", hint, source)
        return False
    newer = next((one.name for one in RUNTIMES if one.language == row.language and one.name in available), None)
    hint = f"Use {newer}." if newer else None
    match row.status:
        case RuntimeStatus.END_OF_LIFE | RuntimeStatus.END_OF_SUPPORT:
            reason = row.status_message.rstrip(".")
            problems.add("runtime-retired", f"Runtime {name} accepts no new functions: {reason}.", hint, source)
        case _:
            problems.add("runtime-unavailable", f"The platform does not have runtime {name}.", hint, source)
    return True


def runtime_language(runtime: str) -> str:
    """Return the language of a runtime that the platform has but the recorded table lacks, by its name."""
    prefixes = {"python": "Python", "node": "Node", "php": "PHP", "go": "Go", "rust": "Rust"}
    return next((language for prefix, language in prefixes.items() if runtime.startswith(prefix)), "")


def runtime_version(name: str) -> tuple[int, int] | None:
    """Return the version of a Python runtime, including one that the recorded table lacks, or ``None``."""
    known = python_version(name)
    if known is not None or not name.startswith("python3") or not name[7:].isascii() or not name[7:].isdigit():
        return known
    return 3, int(name[7:])
