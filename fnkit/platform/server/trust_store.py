"""The system's store of authorities that its programs trust: which one this machine has, and what changes it."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError
from fnkit.platform.layout import Layout

__all__ = ["Authority", "TrustStore", "find_trust_store", "read_authority"]

_SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Where the tools lie; they are often not on the PATH of those who are not root."""

_FOLDERS: Final = (
    ("update-ca-certificates", "/usr/local/share/ca-certificates", "Debian's and Alpine's"),
    ("update-ca-certificates", "/etc/pki/trust/anchors", "SUSE's"),
    ("update-ca-trust", "/etc/pki/ca-trust/source/anchors", "Fedora's and Red Hat's"),
    ("update-ca-trust", "/etc/ca-certificates/trust-source/anchors", "Arch's"),
)
_KEYCHAIN: Final = "/Library/Keychains/System.keychain"
_SECONDS: Final = 120.0

Command = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Authority:
    """The platform's authority as others see it. fingerprint: SHA-256 in hex."""

    file: Path
    pem: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TrustStore:
    """One store, and one authority in it. target: the file that it becomes there, ``None`` where it is no file."""

    name: str
    target: Path | None
    installing: tuple[Command, ...]
    removing: tuple[Command, ...]

    def holds(self, authority: Authority) -> bool | None:
        """Whether it is trusted already; ``None`` where that cannot be seen."""
        if self.target is None:
            return None
        try:
            return self.target.read_text("ascii") == authority.pem
        except (OSError, UnicodeDecodeError):
            return False

    def install(self) -> None:
        """Have the system trust it.

        Raises:
            PlatformError: ``needs-root`` or ``trust-store``.
        """
        _run(self.installing)

    def remove(self) -> None:
        """Have the system trust it no more.

        Raises:
            PlatformError: ``needs-root`` or ``trust-store``.
        """
        _run(self.removing)


def read_authority(layout: Layout) -> Authority:
    """Read the certificate.

    Raises:
        PlatformError: ``no-authority`` where the platform was never started with TLS.
    """
    file = layout.authority_certificate
    try:
        pem = file.read_text("ascii")
        der = ssl.PEM_cert_to_DER_cert(pem)
    except (OSError, ValueError):
        raise PlatformError(
            f"The platform in {layout.home} has no certificate authority yet.",
            code="no-authority",
            hint="It is made at the first start: fnkit platform start --detach",
        ) from None
    return Authority(file, pem, hashlib.sha256(der).hexdigest())


def find_trust_store(authority: Authority) -> TrustStore | None:
    """Return this system's store, ``None`` where it has none that we know."""
    if sys.platform == "darwin":
        file = str(authority.file)
        return TrustStore(
            "macOS' system keychain",
            None,
            (("security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", _KEYCHAIN, file),),
            (("security", "remove-trusted-cert", "-d", file),),
        )
    for tool, folder, whose in _FOLDERS:
        program = _program(tool)
        if program is not None and Path(folder).is_dir():
            target = Path(folder) / f"fnkit-{authority.fingerprint[:8]}.crt"
            return TrustStore(
                f"{whose} {folder}",
                target,
                (("install", "-m", "0644", str(authority.file), str(target)), (program,)),
                (("rm", "-f", str(target)), (program,)),
            )
    return None


def _program(name: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_FOLDERS)))


def _run(commands: tuple[Command, ...]) -> None:
    if os.geteuid() != 0:
        raise PlatformError(
            "Only root may change what this system trusts.",
            code="needs-root",
            hint="Run: " + " && ".join(f"sudo {shlex.join(command)}" for command in commands),
        )
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
            said, failed = (done.stderr.strip() or done.stdout.strip()), done.returncode != 0
        except (OSError, subprocess.TimeoutExpired) as error:
            said, failed = str(error), True
        if failed:
            raise PlatformError(
                f"What this system trusts could not be changed: {shlex.join(command)} failed: {said[-300:]}",
                code="trust-store",
                hint="Trust it per program instead: `fnkit platform trust` shows how.",
            )
