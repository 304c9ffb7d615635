"""Translates failures of uv's resolution into errors that name the requirement concerned."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from fnkit.bundler.dependencies.resolver import ResolutionRequest
from fnkit.bundler.dependencies.uv_settings import REQUIREMENTS_PROJECT
from fnkit.errors import BundleError
from fnkit.project.model import SourceLocation

_PACKAGE_NAME = r"`?([A-Za-z0-9][A-Za-z0-9._-]*)`?"
_URL_CREDENTIALS = re.compile(r"(https?://)[^/\s@]+@")
_REQUIREMENTS_PATH = re.compile(r"`?[^`\s]*fnkit-lock-[^`\s]*`?")
_MAX_REASON_LENGTH = 900
_MAX_MATCHED_LENGTH = 12_000
_MAX_STEPS = 3
_MAX_STEP_LENGTH = 300
_NEXT_STEP = re.compile(r";? (?=And because )")
_NEXT_ARGUMENT = re.compile(r"; (?!And because )")
_VERSION = r"[A-Za-z0-9][\w.-]*[<>=!~]=?[^ ,]+(?:,[<>=!~]=?[^ ,]+)*"
_LONG_LIST = re.compile(rf"(?P<first>{_VERSION}, {_VERSION})(?:, {_VERSION})+, (?P<last>{_VERSION})")
_REQUIRED = re.compile(r"you require ([^,;]+)")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LISTED = re.compile(r"[A-Za-z0-9][\w.-]*(?:[<>=!~]=?[^ ,]+(?:,[^ ]+)*)?")


@dataclass(frozen=True, slots=True)
class _FailurePattern:
    """A kind of failure, recognised by ``pattern`` in uv's output.

    ``message`` and ``hint`` are templates with {name}, {reason}, {target}, {place}, the file of the requirements,
    {requirement} and {line}, the one concerned, and {lines}, all that are concerned.
    """

    code: str
    pattern: str
    message: str
    hint: str


_FAILURE_PATTERNS = (
    _FailurePattern(
        code="disk-full",
        pattern=r"No space left on device|File too large|Disk quota exceeded",
        message="There is not enough disk space to resolve the requirements: {reason}",
        hint="Free some space for uv's cache, or move it with UV_CACHE_DIR.",
    ),
    _FailurePattern(
        code="offline",
        pattern=r"network (?:was|is) disabled|was not found in the cache",
        message="The requirements cannot be resolved offline: {reason}",
        hint="Connect to the network once, or commit the lock file of another machine.",
    ),
    _FailurePattern(
        code="index-credentials",
        pattern=r"\b(?:401|403)\b.*(?:Unauthorized|Forbidden)|missing credentials",
        message="The package index rejected the credentials: {reason}",
        hint="Configure uv's credentials for it: .netrc, keyring, or UV_INDEX_<NAME>_PASSWORD.",
    ),
    _FailurePattern(
        code="unknown-package",
        pattern=rf"{_PACKAGE_NAME} was not found in the (?:package registry|provided package locations)",
        message="The package {name}, required by {place}, is not in the index.",
        hint="Check the spelling, or add the index that contains it to [tool.uv].",
    ),
    _FailurePattern(
        code="unknown-index",
        pattern=rf"Package {_PACKAGE_NAME} references an undeclared index",
        message="[tool.uv.sources] takes {name} from an index that is not declared.",
        hint="Declare it with its name and url in [[tool.uv.index]].",
    ),
    _FailurePattern(
        code="no-such-version",
        pattern=rf"(?:there is no version of {_PACKAGE_NAME}|only {_PACKAGE_NAME}[<>=!~][^ ]* is available)[^;]*"
        r"and you require [^ ,]+, we can conclude that your requirements are unsatisfiable",
        message="No version of {name} satisfies {requirement}: {reason}",
        hint="Correct the version in {line}.",
    ),
    _FailurePattern(
        code="requirements-conflict",
        pattern=r"you require [^ ,]+ and [^ ,]+, we can conclude that your requirements are unsatisfiable",
        message="The requirements conflict for {target}: {reason}",
        hint="Relax one of them: {lines}.",
    ),
    _FailurePattern(
        code="no-wheel",
        pattern=rf"Wheels are required for {_PACKAGE_NAME}|{_PACKAGE_NAME}(?:[=<>!~][^ ]*)? "
        r"ha(?:s|ve) no (?:usable )?wheels",
        message="{name} has no wheel for {target}.",
        hint='If it is pure Python, allow building it: source_builds = ["{name}"] in [tool.fnkit]; '
        "otherwise choose another version or package.",
    ),
    _FailurePattern(
        code="requirement-not-lockable",
        pattern=rf"Failed to (?:download and )?build {_PACKAGE_NAME} @ (?:file|git)"
        r"|Distribution not found at|Git operation failed",
        message="{place} requires a directory or a repository, which cannot be locked: {reason}",
        hint="Require a version from an index or the URL of a wheel; put your own code into the project.",
    ),
    _FailurePattern(
        code="index-unreachable",
        pattern=r"Failed to fetch|error sending request|Request failed after|dns error|tcp connect error|timed out",
        message="The package index did not answer: {reason}",
        hint="Check the connection and the proxy settings, then try again.",
    ),
    _FailurePattern(
        code="uv-settings",
        pattern=r"Failed to parse:? `?uv\.toml",
        message="The project's settings for uv are not valid: {reason}",
        hint="Correct [tool.uv] in pyproject.toml, or uv.toml.",
    ),
    _FailurePattern(
        code="requirement-syntax",
        pattern=r"Couldn't parse requirement|Failed to parse",
        message="A line of {place} is not a valid requirement: {reason}",
        hint="Write requirements as in PEP 508, for example name>=1.0.",
    ),
    _FailurePattern(
        code="hash-mismatch",
        pattern=r"hash mismatch",
        message="A file from the index does not have the expected hash: {reason}",
        hint="Find out why before you use it; `fnkit lock --upgrade` locks the file that is there now.",
    ),
    _FailurePattern(
        code="source-build",
        pattern=rf"Failed to build {_PACKAGE_NAME}",
        message="{name} could not be built from source: {reason}",
        hint="Choose a version with a wheel.",
    ),
    _FailurePattern(
        code="requirements-conflict",
        pattern=r"unsatisfiable",
        message="The requirements conflict for {target}: {reason}",
        hint="Relax one of them: {lines}.",
    ),
    _FailurePattern(
        code="lock-failed",
        pattern="",
        message="The requirements could not be resolved: {reason}",
        hint="Check {place}.",
    ),
)
"""Ordered: the first pattern that matches uv's output wins. The last one matches everything."""


def explain_failure(stderr: str, request: ResolutionRequest) -> BundleError:
    """Return the error for uv's output after a failed resolution, at the line of the requirement concerned."""
    given = _REQUIREMENTS_PATH.sub(request.requirements_source, stderr)
    given = given.replace(f"{REQUIREMENTS_PROJECT} depends on", "you require")
    reason = _joined(given)
    if len(reason) > _MAX_MATCHED_LENGTH:  # the conclusion is at the end
        reason = f"{reason[: _MAX_MATCHED_LENGTH // 2]} … {reason[-_MAX_MATCHED_LENGTH // 2 :]}"
    for case in _FAILURE_PATTERNS:
        match = re.search(case.pattern, reason, re.IGNORECASE)
        if match is not None:
            name = next((group for group in match.groups() if group), "")
            concerned = _concerned_requirements(name, reason, request)
            first = concerned[0] if concerned else None
            source = first.source if first else None
            fields = {
                "name": name,
                "reason": _readable_reason(given),
                "target": f"Python {request.target.python_name} on {request.target.platform}",
                "place": source.file if source else request.requirements_source,
                "requirement": first.text if first else name,
                "line": first.place if first else request.requirements_source,
                "lines": ", ".join(f"{one.text} ({one.place})" for one in concerned) or request.requirements_source,
            }
            message = case.message.format(**fields).replace(": \n", ":\n")
            return BundleError(
                message if message.endswith((".", "…")) else message + ".",
                code=case.code,
                hint=case.hint.format(**fields),
                file=source.file if source else request.requirements_file,
                line=source.line if source else None,
                column=source.column if source else None,
                end_column=source.end_column if source else None,
            )
    raise AssertionError("the last case matches everything")


@dataclass(frozen=True, slots=True)
class _Requirement:
    """A requirement of the project, and where it stands if that is known."""

    text: str
    source: SourceLocation | None
    place: str


def _concerned_requirements(name: str, reason: str, request: ResolutionRequest) -> list[_Requirement]:
    """Return the project's requirement of a package, or without a name all that uv says the project requires."""
    words = [name] if name else _WORD.findall(" ".join(_REQUIRED.findall(reason)))
    names = {str(canonicalize_name(word)) for word in words}
    sources = [*request.requirement_sources, *[None] * len(request.requirements)]
    return [
        _Requirement(text, source, f"{source.file}:{source.line}" if source else request.requirements_source)
        for text, source in zip(request.requirements, sources, strict=False)
        if names.intersection(map(canonicalize_name, _WORD.findall(text)[:1]))
    ]


def condense_output(stderr: str) -> str:
    """Return uv's reasons on one line, without warnings, prefixes, drawing characters and credentials."""
    joined = _joined(stderr)
    return joined if len(joined) <= _MAX_REASON_LENGTH else joined[: _MAX_REASON_LENGTH - 1] + "…"


def _joined(stderr: str) -> str:
    return "; ".join(_sentences(stderr)) or "no reason was given"


def _readable_reason(stderr: str) -> str:
    """Return uv's reasons, each step of an argument on a line of its own; steps in the middle are left out."""
    lines: list[str] = []
    for argument in _NEXT_ARGUMENT.split(_joined(stderr)):
        steps = [_shortened(step) for step in _NEXT_STEP.split(argument)]
        if len(steps) > _MAX_STEPS:
            steps[1:-1] = [f"… ({len(steps) - 2} more steps) …"]
        lines.extend(steps)
    return lines[0] if len(lines) == 1 else "\n  " + "\n  ".join(lines)


def _shortened(step: str) -> str:
    """Return a step without the middle of its lists of versions, cut if it is long all the same."""
    shorter = _LONG_LIST.sub(lambda found: f"{found['first']}, … {found['last']}", step)
    return shorter if len(shorter) <= _MAX_STEP_LENGTH else shorter[: _MAX_STEP_LENGTH - 1] + "…"


def _sentences(stderr: str) -> list[str]:
    reasons: list[str] = []
    is_listed = False
    for line in stderr.splitlines():
        text = line.strip()
        if not text or text.startswith(("warning:", "^", "error: No solution found", "hint: Packages were")):
            continue
        for prefix in ("error:", "cause:", "hint:", "× ", "╰─▶", "├─▶", "│"):
            text = text.removeprefix(prefix).strip()
        if reasons and (is_listed or reasons[-1].endswith(":")):
            # uv lists versions on lines of their own, and continues its sentence on the next one.
            is_listed = _LISTED.fullmatch(text) is not None
            separator = ", " if is_listed and not reasons[-1].endswith(":") else " "
            reasons[-1] += separator + text.removesuffix(".")
        elif text and text not in reasons:
            reasons.append(text.removesuffix("."))
    return [_URL_CREDENTIALS.sub(r"\1", one) for one in reasons]
