"""Translates uv's error output into an error with one sentence and one hint."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fnkit.bundler.resolver import ResolutionRequest
from fnkit.errors import BundleError

__all__ = ["condense_output", "explain_failure"]

_PACKAGE_NAME = r"`?([A-Za-z0-9][A-Za-z0-9._-]*)`?"
_URL_CREDENTIALS = re.compile(r"(https?://)[^/\s@]+@")
_REQUIREMENTS_PATH = re.compile(r"`?[^`\s]*fnkit-lock-[^`\s]*`?")
_MAX_REASON_LENGTH = 900


@dataclass(frozen=True, slots=True)
class _FailurePattern:
    """A kind of failure, recognised by ``pattern`` in uv's output.

    ``message`` and ``hint`` are templates with {name}, {reason}, {target} and {place}.
    """

    code: str
    pattern: str
    message: str
    hint: str


_FAILURE_PATTERNS = (
    _FailurePattern(
        "disk-full",
        r"No space left on device|File too large|Disk quota exceeded",
        "There is not enough disk space to resolve the requirements: {reason}",
        "Free some space for uv's cache, or move it with UV_CACHE_DIR.",
    ),
    _FailurePattern(
        "offline",
        r"network (?:was|is) disabled|was not found in the cache",
        "The requirements cannot be resolved offline: {reason}",
        "Connect to the network once, or commit the lock file of another machine.",
    ),
    _FailurePattern(
        "index-credentials",
        r"\b(?:401|403)\b.*(?:Unauthorized|Forbidden)|missing credentials",
        "The package index rejected the credentials: {reason}",
        "Configure uv's credentials for it: .netrc, keyring, or UV_INDEX_<NAME>_PASSWORD.",
    ),
    _FailurePattern(
        "unknown-package",
        rf"{_PACKAGE_NAME} was not found in the (?:package registry|provided package locations)",
        "The package {name}, required by {place}, is not in the index.",
        "Check the spelling, or add the index that contains it to [tool.uv].",
    ),
    _FailurePattern(
        "no-wheel",
        rf"Wheels are required for {_PACKAGE_NAME}|{_PACKAGE_NAME}(?:[=<>!~][^ ]*)? ha(?:s|ve) no (?:usable )?wheels",
        "{name} has no wheel for {target}.",
        'If it is pure Python, allow building it: source-builds = ["{name}"] in [tool.fnkit]; '
        "otherwise choose another version or package.",
    ),
    _FailurePattern(
        "requirement-not-lockable",
        rf"Failed to (?:download and )?build {_PACKAGE_NAME} @ (?:file|git)|Distribution not found at|Git operation failed",
        "{place} requires a directory or a repository, which cannot be locked: {reason}",
        "Require a version from an index or the URL of a wheel; put your own code into the project.",
    ),
    _FailurePattern(
        "index-unreachable",
        r"Failed to fetch|error sending request|Request failed after|dns error|tcp connect error|timed out",
        "The package index did not answer: {reason}",
        "Check the connection and the proxy settings, then try again.",
    ),
    _FailurePattern(
        "requirement-syntax",
        r"Couldn't parse requirement|Failed to parse",
        "A line of {place} is not a valid requirement: {reason}",
        "Write requirements as in PEP 508, for example name>=1.0.",
    ),
    _FailurePattern(
        "hash-mismatch",
        r"hash mismatch",
        "A file from the index does not have the expected hash: {reason}",
        "Find out why before you use it; `fnkit lock --upgrade` locks the file that is there now.",
    ),
    _FailurePattern(
        "source-build",
        rf"Failed to build {_PACKAGE_NAME}",
        "{name} could not be built from source: {reason}",
        "Choose a version with a wheel.",
    ),
    _FailurePattern(
        "requirements-conflict",
        r"unsatisfiable",
        "The requirements conflict for {target}: {reason}",
        "Relax one of them in {place}.",
    ),
    _FailurePattern("lock-failed", "", "The requirements could not be resolved: {reason}", "Check {place}."),
)
"""Ordered: the first pattern that matches uv's output wins. The last one matches everything."""


def explain_failure(stderr: str, request: ResolutionRequest) -> BundleError:
    """Return the error for uv's output after a failed resolution."""
    reason = _REQUIREMENTS_PATH.sub(request.requirements_source, condense_output(stderr))
    for case in _FAILURE_PATTERNS:
        match = re.search(case.pattern, reason, re.IGNORECASE)
        if match is not None:
            names = [group for group in match.groups() if group] if match.groups() else []
            fields = {
                "name": names[0] if names else "",
                "reason": reason,
                "target": f"Python {request.target.python_name} on {request.target.platform}",
                "place": request.requirements_source,
            }
            message = case.message.format(**fields)
            return BundleError(
                message if message.endswith((".", "…")) else message + ".",
                code=case.code,
                hint=case.hint.format(**fields),
                file=request.requirements_file,
            )
    raise AssertionError("the last case matches everything")


def condense_output(stderr: str) -> str:
    """Return uv's reasons on one line, without warnings, prefixes, drawing characters and credentials."""
    reasons: list[str] = []
    for line in stderr.splitlines():
        text = line.strip()
        if not text or text.startswith(("warning:", "^", "error: No solution found", "hint: Packages were")):
            continue
        for prefix in ("error:", "cause:", "hint:", "× ", "╰─▶", "├─▶", "│"):
            text = text.removeprefix(prefix).strip()
        if text and text not in reasons:
            reasons.append(text.removesuffix("."))
    joined = _URL_CREDENTIALS.sub(r"\1", "; ".join(reasons)) or "no reason was given"
    return joined if len(joined) <= _MAX_REASON_LENGTH else joined[: _MAX_REASON_LENGTH - 1] + "…"
