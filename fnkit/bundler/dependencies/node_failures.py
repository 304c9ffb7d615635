"""Translates the output of npm, pnpm and Yarn when they cannot install the packages of a project."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from fnkit.errors import BundleError

_MAX_REASON_LENGTH: Final = 900
_URL_CREDENTIALS: Final = re.compile(r"(https?://)[^/\s@]+@")
_TOKEN: Final = re.compile(r"(?i)(_authtoken|_auth|_password|npmAuthToken)(\"?\s*[:=]\s*\"?)[^\s\"]+")
_ERROR_LINE: Final = re.compile(
    r"npm (?:error|ERR!)|error\b|.*\bERR_|\s*ERROR|.*YN00(?:28|18|35|82|01)", re.IGNORECASE
)
_NOISE: Final = re.compile(
    r"A complete log of this run|\S*_logs\S*|code [A-Z0-9]+$|404\s*(?:Note that|tarball,|The requested|$)"
    r"|Usage:|Options:|\[?-|aliases|Run \"npm"
)


@dataclass(frozen=True, slots=True)
class _Failure:
    """A kind of failure, recognised by ``pattern`` in the output of a package manager."""

    code: str
    pattern: str
    message: str
    hint: str


_FAILURES: Final = (
    _Failure(
        code="disk-full",
        pattern=r"ENOSPC|EDQUOT|No space left",
        message="There is not enough disk space to install the packages of {manifest}: {reason}",
        hint="Free some space for the package manager's cache and for temporary files.",
    ),
    _Failure(
        code="node-lock-stale",
        pattern=r"can only install packages when your package\.json|ERR_PNPM_OUTDATED_LOCKFILE"
        r"|ERR_PNPM_LOCKFILE_CONFIG|needs to be updated|frozen-lockfile|YN0028|Missing: .* from lock file"
        r"|isn't present in your lockfile",
        message="{lock} does not fit {manifest}: {reason}",
        hint="Run `{program} install` in the function's directory, and commit the lock file.",
    ),
    _Failure(
        code="node-registry",
        pattern=r"ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ESOCKET|ERR_SOCKET|ENETUNREACH|EHOSTUNREACH"
        r"|ENOTCACHED|E401|E403|ERR_PNPM_FETCH_40[13]|network request|self.signed certificate|CERT_|YN0035.*40[13]",
        message="The packages of {manifest} cannot be downloaded: {reason}",
        hint="Check the connection to the registry and its credentials: `npm ping`, and the user's .npmrc.",
    ),
    _Failure(
        code="node-package",
        pattern=r"E404|ETARGET|ERR_PNPM_FETCH_404|ERR_PNPM_NO_MATCHING_VERSION|Couldn't find package|YN0082"
        r"|\b404\b",
        message="A package of {manifest} is not in the registry: {reason}",
        hint="Check its name and version, or configure the registry that has it.",
    ),
    _Failure(
        code="hash-mismatch",
        pattern=r"EINTEGRITY|ERR_PNPM_TARBALL_INTEGRITY|Integrity check failed|YN0018",
        message="A package of {manifest} does not have the content that {lock} names: {reason}",
        hint="Find out why before you use it; update the lock file to accept the content that is there now.",
    ),
)


def install_error(output: str, *, program: str, lock: str, manifest: str) -> BundleError:
    """Return the error for a failed installation.

    Args:
        output: What the package manager printed.
        program: Its name.
        lock: The name of the lock file.
        manifest: The path of ``package.json`` relative to the project.
    """
    reason = _condense(output)
    names = {"manifest": manifest, "lock": lock, "program": program}
    for failure in _FAILURES:
        if re.search(failure.pattern, output):
            return BundleError(
                failure.message.format(reason=reason, **names) + ".",
                code=failure.code,
                hint=failure.hint.format(**names),
                file=manifest,
            )
    return BundleError(
        f"{program} could not install the packages of {manifest}: {reason}.",
        code="node-install",
        hint=f"Run `{program} install` in the function's directory to see the whole output.",
        file=manifest,
    )


def _condense(output: str) -> str:
    """Return the reasons in the output of a package manager on one line, without credentials."""
    lines = [
        re.sub(r"^(npm (?:error|ERR!)|error|\u27a4|ERROR)\s*", "", line.strip()) for line in output.splitlines()
    ]
    told = [
        line for line, whole in zip(lines, output.splitlines(), strict=True) if re.match(_ERROR_LINE, whole.strip())
    ]
    kept = [line for line in dict.fromkeys(told or lines) if line and not re.match(_NOISE, line)]
    joined = _TOKEN.sub(r"\1\2…", _URL_CREDENTIALS.sub(r"\1", "; ".join(kept))).rstrip(".") or "no reason was given"
    return joined if len(joined) <= _MAX_REASON_LENGTH else joined[: _MAX_REASON_LENGTH - 1] + "…"
