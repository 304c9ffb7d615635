"""The platform's certificate authority, created at the first start with TLS and kept by a reset.

``tls/authority.pem`` (0600) in the data directory holds the key and the certificate. They share a file so that one
atomic write replaces both. ``tls/authority.crt`` is the certificate alone, for clients that should trust it.
"""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from fnkit.errors import PlatformError
from fnkit.platform.control.store.private_file import write_private_file
from fnkit.platform.model.settings import DataLayout

CA_LIFETIME: Final = timedelta(days=3650)
CA_RENEWAL_MARGIN: Final = timedelta(days=398)
"""Remaining lifetime at which a new CA certificate is created: issued certificates must not outlive it."""

_MAX_COMMON_NAME: Final = 64  # X.520: ub-common-name
_CLOCK_SKEW: Final = timedelta(days=1)
_BEGIN_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


def ensure_certificate_authority(layout: DataLayout, now: float | None = None) -> None:
    """Create the certificate authority if there is none or it expires soon. The caller holds the platform's lock.

    Args:
        layout: The data directory.
        now: Real time in Unix seconds; ``None`` for the current time.

    Raises:
        PlatformError: ``authority-unreadable`` if the file is invalid; ``data-folder`` if it cannot be written.
    """
    at = datetime.fromtimestamp(time.time() if now is None else now, UTC)
    try:
        layout.tls_dir.mkdir(mode=0o700, exist_ok=True)
        if not layout.ca_file.exists() or _read_expiry(layout.ca_file) - at < CA_RENEWAL_MARGIN:
            write_private_file(layout.ca_file, _create_certificate_authority(at))
        pem = layout.ca_file.read_bytes()
        certificate = pem[pem.index(_BEGIN_CERTIFICATE) :]
        if not layout.ca_certificate_file.exists() or layout.ca_certificate_file.read_bytes() != certificate:
            write_private_file(layout.ca_certificate_file, certificate)
    except (ssl.SSLError, ValueError):
        raise PlatformError(
            f"{layout.ca_file} does not hold the key and certificate of this platform's certificate authority.",
            code="authority-unreadable",
            hint="Restore it from a backup, or remove the file to create a new certificate authority.",
        ) from None
    except OSError as error:
        raise PlatformError(
            f"The directory {layout.tls_dir} cannot be used: {error.strerror}.",
            code="data-folder",
            hint="Choose another data directory with --data-dir or FNKIT_HOME.",
        ) from None


def _read_expiry(file: Path) -> datetime:
    """Return the expiry of the CA certificate, and check that its key matches.

    It uses the standard library, so that a start need not import ``cryptography`` (50 ms).
    """
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file)  # fails if key and certificate do not match
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(file)
    expiries = [str(certificate["notAfter"]) for certificate in context.get_ca_certs()]
    if len(expiries) != 1:
        raise ValueError("the file must hold exactly one CA certificate")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(expiries[0]), UTC)


def _create_certificate_authority(now: datetime) -> bytes:
    """Create a CA key and certificate; return both as PEM."""
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
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _common_name(digest: bytes) -> str:
    """Return a name with the machine and a part of the key id, by which trust stores tell several CAs apart."""
    import platform

    host = "".join(character for character in platform.node() if character.isascii() and character.isprintable())
    return f"fnkit platform {digest.hex()[:8]} on {host or 'this machine'}"[:_MAX_COMMON_NAME]
