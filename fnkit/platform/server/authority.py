"""The platform's own certificate authority: made once, kept through resets, trusted by whoever wants to.

Two files under ``tls/`` of the data folder: ``authority.pem`` (0600) holds the key and the certificate, and is
written in one piece; ``authority.crt`` is the certificate alone, for those who are to trust it.
"""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError
from fnkit.platform.layout import Layout
from fnkit.platform.store.private_file import write_private

__all__ = ["LIFETIME", "RENEWED_BEFORE", "make_authority"]

LIFETIME: Final = timedelta(days=3650)
RENEWED_BEFORE: Final = timedelta(days=398)
"""What is left when a new authority is made: no certificate of ours may outlive the one that signed it."""

_NAME_MAX: Final = 64  # X.520: ub-common-name
_SKEW: Final = timedelta(days=1)
_BEGIN_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


def make_authority(layout: Layout, now: float | None = None) -> None:
    """Make the authority where there is none, or none that lasts. The caller holds the platform's lock.

    now: Unix seconds, real time, as certificates are.

    Raises:
        PlatformError: ``authority-unreadable`` where the file is none; ``data-folder`` where it cannot be written.
    """
    at = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    try:
        layout.tls.mkdir(mode=0o700, exist_ok=True)
        if not layout.authority.exists() or _end(layout.authority) - at < RENEWED_BEFORE:
            write_private(layout.authority, _new_authority(at))
        pem = layout.authority.read_bytes()
        certificate = pem[pem.index(_BEGIN_CERTIFICATE) :]
        if not layout.authority_certificate.exists() or layout.authority_certificate.read_bytes() != certificate:
            write_private(layout.authority_certificate, certificate)
    except (ssl.SSLError, ValueError):
        raise PlatformError(
            f"{layout.authority} cannot be read as the key and certificate of this platform's authority.",
            code="authority-unreadable",
            hint="Restore it from a backup, or remove that file to get a new authority.",
        ) from None
    except OSError as error:
        raise PlatformError(
            f"{layout.tls} cannot be used: {error.strerror}.",
            code="data-folder",
            hint="Choose another data folder with --data-dir or FNKIT_HOME.",
        ) from None


def _end(file: Path) -> datetime:
    """When the authority ends. The standard library reads it: a start need not load ``cryptography`` (50 ms)."""
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)  # key and certificate belong together
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    ends = [str(found["notAfter"]) for found in context.get_ca_certs()]
    if len(ends) != 1:
        raise ValueError("one certificate of an authority is expected")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(ends[0]), UTC)


def _new_authority(now: datetime) -> bytes:
    """Return key and certificate as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "fnkit"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, _common_name(identifier.digest)),
        ]
    )
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _common_name(digest: bytes) -> str:
    """Name the machine and the key: trust stores list authorities by this, and several machines may be trusted."""
    import platform

    host = "".join(character for character in platform.node() if character.isascii() and character.isprintable())
    return f"fnkit platform {digest.hex()[:8]} on {host or 'this machine'}"[:_NAME_MAX]
