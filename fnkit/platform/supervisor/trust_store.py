"""The trust store of the operating system: find it, and install or remove the platform's CA certificate."""

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
from fnkit.platform.model.settings import DataLayout

_SYSTEM_PATH: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
"""Directories of the tools, which are often missing in the PATH of users other than root."""

_KNOWN_STORES: Final = (
    ("update-ca-certificates", "/usr/local/share/ca-certificates", "Debian, Alpine"),
    ("update-ca-certificates", "/etc/pki/trust/anchors", "SUSE"),
    ("update-ca-trust", "/etc/pki/ca-trust/source/anchors", "Fedora, Red Hat"),
    ("update-ca-trust", "/etc/ca-certificates/trust-source/anchors", "Arch"),
)
_SYSTEM_KEYCHAIN: Final = "/Library/Keychains/System.keychain"
_COMMAND_TIMEOUT: Final = 120.0

CommandLine = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """The platform's CA certificate. ``fingerprint``: SHA-256 in hexadecimal."""

    file: Path
    pem: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TrustStore:
    """A trust store, with the commands for one CA certificate.

    Attributes:
        name: The name for users.
        certificate_file: The file of the certificate in the store; ``None`` if the store does not use files.
        install_commands: Commands that install the certificate, run as root.
        remove_commands: Commands that remove it, run as root.
    """

    name: str
    certificate_file: Path | None
    install_commands: tuple[CommandLine, ...]
    remove_commands: tuple[CommandLine, ...]

    def contains(self, certificate: CaCertificate) -> bool | None:
        """Return whether the certificate is installed; ``None`` if that cannot be determined."""
        if self.certificate_file is None:
            return None
        try:
            return self.certificate_file.read_text("ascii") == certificate.pem
        except (OSError, UnicodeDecodeError):
            return False

    def change(self, *, install: bool) -> None:
        """Install the certificate, or remove it.

        Raises:
            PlatformError: ``needs-root`` or ``trust-store``.
        """
        _run_as_root(self.install_commands if install else self.remove_commands)


def read_ca_certificate(data_dir: Path) -> CaCertificate:
    """Read the CA certificate of the platform in a data directory.

    Raises:
        PlatformError: ``no-authority`` if the platform was never started with TLS.
    """
    file = DataLayout(data_dir).ca_certificate_file
    try:
        pem = file.read_text("ascii")
        der = ssl.PEM_cert_to_DER_cert(pem)
    except (OSError, ValueError):
        raise PlatformError(
            f"The platform in {data_dir} has no certificate authority yet.",
            code="no-authority",
            hint="The first start creates it: fnkit platform start --detach",
        ) from None
    return CaCertificate(file, pem, hashlib.sha256(der).hexdigest())


def find_trust_store(certificate: CaCertificate) -> TrustStore | None:
    """Return the trust store of this system, if it is a supported one."""
    if sys.platform == "darwin":
        file = str(certificate.file)
        return TrustStore(
            "macOS' system keychain",
            None,
            (("security", "add-trusted-cert", "-d", "-r", "trustRoot", "-k", _SYSTEM_KEYCHAIN, file),),
            (("security", "remove-trusted-cert", "-d", file),),
        )
    for tool, folder, systems in _KNOWN_STORES:
        program = shutil.which(tool, path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_PATH)))
        if program is not None and Path(folder).is_dir():
            target = Path(folder) / f"fnkit-{certificate.fingerprint[:8]}.crt"
            return TrustStore(
                f"{folder} ({systems})",
                target,
                (("install", "-m", "0644", str(certificate.file), str(target)), (program,)),
                (("rm", "-f", str(target)), (program,)),
            )
    return None


def _run_as_root(commands: tuple[CommandLine, ...]) -> None:
    if os.geteuid() != 0:
        raise PlatformError(
            "Only root may change the trust store of this system.",
            code="needs-root",
            hint="Run: " + " && ".join(f"sudo {shlex.join(command)}" for command in commands),
        )
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_COMMAND_TIMEOUT)
            output, failed = (done.stderr.strip() or done.stdout.strip()), done.returncode != 0
        except (OSError, subprocess.TimeoutExpired) as error:
            output, failed = str(error), True
        if failed:
            raise PlatformError(
                f"The trust store could not be changed: {shlex.join(command)} failed: {output[-300:]}",
                code="trust-store",
                hint="Let single programs trust the certificate instead: `fnkit platform trust` shows how.",
            )
