"""Validates environment variables, secrets and tags."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from fnkit.contract.limits import (
    ENVIRONMENT_MAX_ENTRIES,
    ENVIRONMENT_VALUE_MAX_CHARS,
    SECRETS_MAX_ENTRIES,
)
from fnkit.project.findings import ProblemList
from fnkit.project.model import SourceLocation

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
"""Names that the platform sets in each instance.

Scaleway's documentation reserves all of ``SCW_*``, but its API accepts other names, such as ``SCW_SECRET_KEY``,
which handlers that call the API need, and ``SCW_ALLOW_FAVICON``, which users set.
"""

_VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TAG_RULE: Final = re.compile(r"[a-zA-Z0-9=._-]{1,64}")


def check_environment(
    env: Mapping[str, str], secrets: Sequence[str], subject: str, source: SourceLocation, problems: ProblemList
) -> None:
    """Check the variables and secrets of one function or namespace."""
    for name in dict.fromkeys((*env, *secrets)):
        _check_variable_name(name, subject, source, problems)
    for name, value in env.items():
        if len(value) > ENVIRONMENT_VALUE_MAX_CHARS:
            problems.add(
                "variable-too-long",
                f"{subject}: {name} has {len(value)} characters; {ENVIRONMENT_VALUE_MAX_CHARS} are allowed.",
                "Put it into a file of the project, or make it a secret, which may have 65,536 bytes.",
                source,
            )
        if "\0" in value:
            problems.add("variable-value", f"{subject}: variable {name} contains a null character.", None, source)
    for name in secrets:
        if name in env:
            hint = "Keep one of them; the value of a secret is read on the deploying machine."
            problems.add("variable-twice", f"{subject}: {name} is both a variable and a secret.", hint, source)


def check_variable_counts(
    env: Mapping[str, str],
    secrets: Sequence[str],
    namespace: tuple[Mapping[str, str], Sequence[str]],
    *,
    subject: str,
    source: SourceLocation,
    problems: ProblemList,
) -> None:
    """Check the number of variables and secrets; the limits apply to a function and its namespace together.

    Args:
        env: Variables of the function.
        secrets: Secrets of the function.
        namespace: Variables and secrets of the namespace.
        subject: Start of each message.
        source: Location for the problems.
        problems: Receives the problems.
    """
    counts = (
        ("variables", len({*env, *namespace[0]}), ENVIRONMENT_MAX_ENTRIES),
        ("secrets", len({*secrets, *namespace[1]}), SECRETS_MAX_ENTRIES),
    )
    for what, count, most in counts:
        if count > most:
            message = f"{subject} and its namespace have {count} {what} together; at most {most} are allowed."
            problems.add("too-many-variables", message, None, source)


def check_tags(tags: Sequence[str], subject: str, source: SourceLocation, problems: ProblemList) -> None:
    """Check custom tags. fnkit stores its own tags beside them, with names that start with ``fnkit``."""
    for tag in tags:
        if not _TAG_RULE.fullmatch(tag):
            hint = "Use 1 to 64 letters, digits and any of = . _ -"
            problems.add("bad-tag", f"{subject}: {tag[:80]!r} is not a valid tag.", hint, source)
        elif tag.lower().startswith("fnkit"):
            message = f"{subject}: the tag {tag!r} starts with fnkit, which is reserved."
            problems.add("reserved-tag", message, "Choose another tag.", source)


def _check_variable_name(name: str, subject: str, source: SourceLocation, problems: ProblemList) -> None:
    if not _VARIABLE_NAME.fullmatch(name):
        hint = "Use letters, digits and underscores, not starting with a digit."
        problems.add("variable-name", f"{subject}: {name[:80]!r} is not a valid variable name.", hint, source)
    elif name in RESERVED_VARIABLES:
        message = f"{subject}: {name} is reserved; the platform sets it."
        problems.add("reserved-variable", message, "Choose another name.", source)
