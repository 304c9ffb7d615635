"""Compares the wanted settings of namespaces and functions with the live ones and describes the differences.

The API treats null and absent fields as "unchanged". Settings are therefore always complete and compared as a
whole: a setting removed from the code is compared, and written, as its documented default.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fnkit.contract.durations import parse_api_duration
from fnkit.contract.resources import Function, Namespace, SecretHashedValue
from fnkit.plan.changes import FunctionConfig, NamespaceConfig, SecretDiff
from fnkit.plan.observed import SecretMatches
from fnkit.plan.tags import owned_hash, is_fnkit_tag, read_ownership

__all__ = [
    "code_reason",
    "function_differences",
    "merge_tags",
    "namespace_differences",
    "diff_secrets",
    "secret_differences",
]


_MAX_FILES_SHOWN: Final = 3


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
    more = len(names) - _MAX_FILES_SHOWN
    return "code: " + ", ".join(names[:_MAX_FILES_SHOWN]) + (f" and {more} more" if more > 0 else "")


def function_differences(live: Function, wanted: FunctionConfig) -> list[str]:
    """Return one entry for each differing setting, for example ``memory 128 → 256``."""
    pairs: list[tuple[str, object, object]] = [
        ("runtime", live.runtime, wanted.runtime),
        ("handler", live.handler, wanted.handler),
        ("memory", live.memory_limit, wanted.memory),
        ("min_scale", live.min_scale, wanted.min_scale),
        ("max_scale", live.max_scale, wanted.max_scale),
        ("timeout", _duration_seconds(live.timeout), _duration_seconds(wanted.timeout)),
        ("privacy", live.privacy, wanted.privacy),
        ("http_option", live.http_option, wanted.http_option),
        ("sandbox", live.sandbox, wanted.sandbox),
        ("private_network_id", live.private_network_id or "", wanted.private_network_id),
    ]
    reasons = [f"{name} {_format_value(old)} → {_format_value(new)}" for name, old, new in pairs if old != new]
    if (live.description or "") != wanted.description:
        reasons.append("description")
    return reasons + _environment_differences(live.environment_variables, wanted.environment)


def namespace_differences(live: Namespace, wanted: NamespaceConfig) -> list[str]:
    """Return one entry for each differing setting."""
    reasons = ["description"] if (live.description or "") != wanted.description else []
    return reasons + _environment_differences(live.environment_variables, wanted.environment)


def merge_tags(live: Sequence[str], wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the tags to write: the wanted ones, and live tags that others added.

    A live tag that the code declared earlier is recorded among the owned hashes; when the code no longer declares
    it, it is removed. ``fnkit.code`` and ``fnkit.links`` are added when the plan is applied.
    """
    once_declared = read_ownership(live).owned_hashes
    kept = [
        tag
        for tag in live
        if not is_fnkit_tag(tag) and tag not in wanted and owned_hash("tag", tag) not in once_declared
    ]
    return (*wanted, *kept)


def diff_secrets(
    live: Iterable[SecretHashedValue], wanted: Iterable[str], secret_matches: SecretMatches
) -> SecretDiff:
    """Return the secrets to write (new, or with another value) and to remove, sorted by name."""
    hashes = {secret.key: secret.hashed_value for secret in live}
    names = set(wanted)
    write = [name for name in names if name not in hashes or not secret_matches.matches(hashes[name], name)]
    return SecretDiff(write=tuple(sorted(write)), remove=tuple(sorted(set(hashes) - names)))


def secret_differences(live: Iterable[SecretHashedValue], changes: SecretDiff) -> list[str]:
    """Describe changes of secrets by name, never by value."""
    known = {secret.key for secret in live}
    written = [f"secret {name} {'changed' if name in known else 'added'}" for name in changes.write]
    return written + [f"secret {name} removed" for name in changes.remove]


def _environment_differences(live: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    reasons = []
    for name in sorted(live.keys() | wanted.keys()):
        if name not in live:
            reasons.append(f"variable {name} added")
        elif name not in wanted:
            reasons.append(f"variable {name} removed")
        elif live[name] != wanted[name]:
            reasons.append(f"variable {name} changed")
    return reasons


def _duration_seconds(duration: str | None) -> object:
    """Return a duration as a number of seconds, so that ``10.000000000s`` equals ``10s``."""
    nanoseconds = parse_api_duration(duration or "")
    return duration if nanoseconds is None else nanoseconds / 10**9


def _format_value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}s"
    return str(value) or "none"
