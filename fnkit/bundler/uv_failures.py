"""uv's reasons in our words: one sentence that names the package, one hint that helps."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fnkit.bundler.resolver import Resolution
from fnkit.errors import BundleError

__all__ = ["condensed", "explain_failure"]

_NAME = r"`?([A-Za-z0-9][A-Za-z0-9._-]*)`?"
_USERINFO = re.compile(r"(https?://)[^/\s@]+@")
_ASKED = re.compile(r"`?[^`\s]*fnkit-lock-[^`\s]*`?")
_REASON_LENGTH = 900


@dataclass(frozen=True, slots=True)
class _Case:
    """One kind of failure. In message and hint stand {name}, {reason}, {target} and {place}."""

    code: str
    pattern: str
    message: str
    hint: str


_CASES = (
    _Case(
        "disk-full",
        r"No space left on device|File too large|Disk quota exceeded",
        "There is no room for what resolving the requirements needs: {reason}",
        "Make room for uv's cache, or choose another place for it with UV_CACHE_DIR.",
    ),
    _Case(
        "offline",
        r"network (?:was|is) disabled|was not found in the cache",
        "The requirements cannot be resolved without the network: {reason}",
        "Connect once, or commit the lock file that another machine wrote.",
    ),
    _Case(
        "index-credentials",
        r"\b(?:401|403)\b.*(?:Unauthorized|Forbidden)|missing credentials",
        "The package index refused the request: {reason}",
        "Give uv credentials for it: .netrc, keyring, or UV_INDEX_<NAME>_PASSWORD.",
    ),
    _Case(
        "unknown-package",
        rf"{_NAME} was not found in the (?:package registry|provided package locations)",
        "There is no package {name} in the index; {place} asks for it.",
        "Check the spelling, or add the index that has it to [tool.uv].",
    ),
    _Case(
        "no-wheel",
        rf"Wheels are required for {_NAME}|{_NAME}(?:[=<>!~][^ ]*)? ha(?:s|ve) no (?:usable )?wheels",
        "{name} has no wheel for {target}.",
        'If it is pure Python, allow building it: source-builds = ["{name}"] in [tool.fnkit]; '
        "else choose another version or another package.",
    ),
    _Case(
        "requirement-not-lockable",
        rf"Failed to (?:download and )?build {_NAME} @ (?:file|git)|Distribution not found at|Git operation failed",
        "{place} asks for a folder or a repository, which cannot be locked: {reason}",
        "Name a version from an index or the URL of a wheel; code of your own belongs into the project.",
    ),
    _Case(
        "index-unreachable",
        r"Failed to fetch|error sending request|Request failed after|dns error|tcp connect error|timed out",
        "The package index did not answer: {reason}",
        "Check the connection and the proxy settings, then try again.",
    ),
    _Case(
        "requirement-syntax",
        r"Couldn't parse requirement|Failed to parse",
        "A line of {place} is no requirement: {reason}",
        "Write requirements as in PEP 508: name>=1.0.",
    ),
    _Case(
        "hash-mismatch",
        r"hash mismatch",
        "A file of the index is not what was promised: {reason}",
        "Do not use it before you know why; an upgrade of the lock takes what is there now.",
    ),
    _Case(
        "source-build",
        rf"Failed to build {_NAME}",
        "{name} could not be prepared from source: {reason}",
        "Choose a version that comes as a wheel.",
    ),
    _Case(
        "requirements-conflict",
        r"unsatisfiable",
        "The requirements exclude each other for {target}: {reason}",
        "Loosen one of them in {place}.",
    ),
    _Case("lock-failed", "", "The requirements could not be resolved: {reason}", "Check {place}."),
)
"""The first pattern that matches uv's text decides."""


def explain_failure(stderr: str, question: Resolution) -> BundleError:
    """Return the error for what uv wrote when it gave up; its code is one of the cases above."""
    reason = _ASKED.sub(question.place, condensed(stderr))
    for case in _CASES:
        found = re.search(case.pattern, reason, re.IGNORECASE)
        if found is not None:
            names = [group for group in found.groups() if group] if found.groups() else []
            words = {
                "name": names[0] if names else "",
                "reason": reason,
                "target": f"Python {question.target.python_name} on {question.target.platform}",
                "place": question.place,
            }
            message = case.message.format(**words)
            return BundleError(
                message if message.endswith((".", "…")) else message + ".",
                code=case.code,
                hint=case.hint.format(**words),
                file=question.requirements_file,
            )
    raise AssertionError("the last case matches everything")


def condensed(stderr: str) -> str:
    """Return uv's reasons on one line: no warnings, prefixes, art or credentials."""
    kept: list[str] = []
    for line in stderr.splitlines():
        text = line.strip()
        if not text or text.startswith(("warning:", "^", "error: No solution found", "hint: Packages were")):
            continue
        for prefix in ("error:", "cause:", "hint:", "× ", "╰─▶", "├─▶", "│"):
            text = text.removeprefix(prefix).strip()
        if text and text not in kept:
            kept.append(text.removesuffix("."))
    joined = _USERINFO.sub(r"\1", "; ".join(kept)) or "no reason was given"
    return joined if len(joined) <= _REASON_LENGTH else joined[: _REASON_LENGTH - 1] + "…"
