"""Compares the wanted settings of namespaces and functions with the live ones and describes the differences.

The API treats null and absent fields as "unchanged". Settings are therefore always complete and compared as a
whole: a setting removed from the code is compared, and written, as its documented default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fnkit.contract.durations import parse_api_duration
from fnkit.contract.resources import Function, Namespace, SecretHashedValue
from fnkit.plan.changes import FunctionSettings, NamespaceSettings, SecretChanges
from fnkit.plan.observed import SecretVerdicts
from fnkit.plan.tags import child_hash, is_ours, read_ownership

__all__ = [
    "code_reason",
    "function_reasons",
    "merged_tags",
    "namespace_reasons",
    "secret_changes",
    "secret_reasons",
]


_NAMED_FILES: Final = 3


def code_reason(deployed: Sequence[tuple[str, str]] | None, wanted: Sequence[tuple[str, str]]) -> str:
    """Return why the code is deployed again.

    Names the changed files if this machine has a record of the deployed slice; ``deployed`` is ``None`` otherwise.
    """
    if deployed is None:
        return "code"
    before, after = dict(deployed), dict(wanted)
    names = [
        f"{path} {'added' if path not in before else 'removed' if path not in after else 'changed'}"
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    ]
    if not names:
        return "code: its dependencies, runtime or handler"
    more = len(names) - _NAMED_FILES
    return "code: " + ", ".join(names[:_NAMED_FILES]) + (f" and {more} more" if more > 0 else "")


def function_reasons(live: Function, wanted: FunctionSettings) -> list[str]:
    """Return one entry for each differing setting, for example ``memory 128 → 256``."""
    pairs: list[tuple[str, object, object]] = [
        ("runtime", live.runtime, wanted.runtime),
        ("handler", live.handler, wanted.handler),
        ("memory", live.memory_limit, wanted.memory),
        ("min_scale", live.min_scale, wanted.min_scale),
        ("max_scale", live.max_scale, wanted.max_scale),
        ("timeout", _seconds(live.timeout), _seconds(wanted.timeout)),
        ("privacy", live.privacy, wanted.privacy),
        ("http_option", live.http_option, wanted.http_option),
        ("sandbox", live.sandbox, wanted.sandbox),
        ("private_network_id", live.private_network_id or "", wanted.private_network_id),
    ]
    reasons = [f"{name} {_shown(old)} → {_shown(new)}" for name, old, new in pairs if old != new]
    if (live.description or "") != wanted.description:
        reasons.append("description")
    return reasons + _environment_reasons(live.environment_variables, wanted.environment)


def namespace_reasons(live: Namespace, wanted: NamespaceSettings) -> list[str]:
    """Return one entry for each differing setting."""
    reasons = ["description"] if (live.description or "") != wanted.description else []
    return reasons + _environment_reasons(live.environment_variables, wanted.environment)


def merged_tags(live: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the tags to write: the wanted ones, and live tags that others added.

    A live tag that the code declared earlier is recorded among the owned hashes; when the code no longer declares
    it, it is removed. ``fnkit.code`` and ``fnkit.links`` are added when the plan is applied.
    """
    once_declared = read_ownership(live).children
    kept = [
        tag
        for tag in live
        if not is_ours(tag) and tag not in wanted and child_hash("tag", tag) not in once_declared
    ]
    return (*wanted, *kept)


def secret_changes(
    live: Iterable[SecretHashedValue], wanted: Iterable[str], verdicts: SecretVerdicts
) -> SecretChanges:
    """Return the secrets to write (new, or with another value) and to remove, sorted by name."""
    hashes = {secret.key: secret.hashed_value for secret in live}
    names = set(wanted)
    write = [name for name in names if name not in hashes or not verdicts.agrees(hashes[name], name)]
    return SecretChanges(write=tuple(sorted(write)), remove=tuple(sorted(set(hashes) - names)))


def secret_reasons(live: Iterable[SecretHashedValue], changes: SecretChanges) -> list[str]:
    """Describe changes of secrets by name, never by value."""
    known = {secret.key for secret in live}
    written = [f"secret {name} {'changed' if name in known else 'added'}" for name in changes.write]
    return written + [f"secret {name} removed" for name in changes.remove]


def _environment_reasons(live: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    reasons = []
    for name in sorted(live.keys() | wanted.keys()):
        if name not in live:
            reasons.append(f"variable {name} added")
        elif name not in wanted:
            reasons.append(f"variable {name} removed")
        elif live[name] != wanted[name]:
            reasons.append(f"variable {name} changed")
    return reasons


def _seconds(duration: str | None) -> object:
    """Return a duration as a number of seconds, so that ``10.000000000s`` equals ``10s``."""
    nanoseconds = parse_api_duration(duration or "")
    return duration if nanoseconds is None else nanoseconds / 10**9


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}s"
    return str(value) or "none"
