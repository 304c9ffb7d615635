"""Environment variables, secrets and tags: names, sizes, and what the platform keeps for itself.

Published limits count a function and its namespace together (functions-contract §2.3). Scaleway reserves
``SCW_*`` in its documentation and yet accepts ``SCW_SECRET_KEY`` and the like, which handlers that call its API
need (§2.1). So only the names that the platform itself sets are refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from fnkit.contract.limits import (
    ENVIRONMENT_MAX_ENTRIES,
    ENVIRONMENT_VALUE_MAX_CHARS,
    SECRETS_MAX_ENTRIES,
)
from fnkit.project.findings import Findings
from fnkit.project.model import Source

__all__ = ["RESERVED_VARIABLES", "check_environment", "check_tags", "check_variable_counts"]

RESERVED_VARIABLES: Final = frozenset(
    {"PORT"}
    | {
        f"SCW_{name}"
        for name in (
            *("UPSTREAM_PORT", "UPSTREAM_HOST", "HANDLER_PATH", "HANDLER_NAME", "HANDLER_IS_BINARY"),
            *("RUNTIME_BINARY", "RUNTIME_BRIDGE", "PAYLOAD_MAX_SIZE", "NAMESPACE_ID", "PUBLIC", "PUBLIC_KEY"),
            *("APPLICATION_NAME", "APPLICATION_VERSION", "APPLICATION_MEMORY", "APPLICATION_ID"),
        )
    }
)
"""Set by the platform for each instance; ``SCW_ALLOW_FAVICON`` is a switch of its own for users."""

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAG: Final = re.compile(r"[a-zA-Z0-9=._-]{1,64}")


def check_environment(
    env: Mapping[str, str], secrets: Sequence[str], subject: str, source: Source, findings: Findings
) -> None:
    """Check one object's own variables and secrets."""
    for name in dict.fromkeys((*env, *secrets)):
        _check_name(name, subject, source, findings)
    for name, value in env.items():
        if len(value) > ENVIRONMENT_VALUE_MAX_CHARS:
            findings.add(
                "variable-too-long",
                f"{subject}: {name} has {len(value)} characters; {ENVIRONMENT_VALUE_MAX_CHARS} are allowed.",
                "Put it in a file of the project, or make it a secret, which may have 65,536 bytes.",
                source,
            )
        if "\0" in value:
            findings.add("variable-value", f"{subject}: variable {name} holds a null character.", None, source)
    for name in secrets:
        if name in env:
            hint = "Keep one of them; a secret's value comes from the deploying machine."
            findings.add("variable-twice", f"{subject}: {name} is both a variable and a secret.", hint, source)


def check_variable_counts(
    env: Mapping[str, str],
    secrets: Sequence[str],
    namespace: tuple[Mapping[str, str], Sequence[str]],
    *,
    subject: str,
    source: Source,
    findings: Findings,
) -> None:
    """Check how many a function and its namespace have together. ``namespace``: its variables and secrets."""
    counts = (
        ("variables", len({*env, *namespace[0]}), ENVIRONMENT_MAX_ENTRIES),
        ("secrets", len({*secrets, *namespace[1]}), SECRETS_MAX_ENTRIES),
    )
    for what, count, most in counts:
        if count > most:
            message = f"{subject} and its namespace have {count} {what} together; {most} are allowed."
            findings.add("too-many-variables", message, None, source)


def check_tags(tags: Sequence[str], subject: str, source: Source, findings: Findings) -> None:
    """Check labels (decision 9): fnkit keeps its own beside them."""
    for tag in tags:
        if not _TAG.fullmatch(tag):
            hint = "A tag has 1 to 64 letters, digits and any of = . _ -"
            findings.add("bad-tag", f"{subject}: {tag[:80]!r} cannot be a tag.", hint, source)
        elif tag.lower().startswith("fnkit"):
            message = f"{subject}: the tag {tag!r} starts with fnkit, and those are fnkit's own."
            findings.add("reserved-tag", message, "Choose another word.", source)


def _check_name(name: str, subject: str, source: Source, findings: Findings) -> None:
    if not _NAME.fullmatch(name):
        hint = "Letters, digits and underscores, not starting with a digit."
        findings.add("variable-name", f"{subject}: {name[:80]!r} cannot be a variable's name.", hint, source)
    elif name in RESERVED_VARIABLES:
        message = f"{subject}: the platform sets {name} itself."
        findings.add("reserved-variable", message, "Choose another name.", source)
