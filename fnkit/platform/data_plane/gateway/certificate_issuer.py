"""Issues the gateway's certificates. Imported for the first TLS connection, because of its dependencies."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID

CERTIFICATE_LIFETIME: Final = timedelta(days=90)
"""Lifetime of certificates. Browsers reject server certificates of more than 398 days."""
_CLOCK_SKEW: Final = timedelta(days=1)
_KEY_USAGE: Final = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


class CertificateIssuer:
    """Issues certificates for one private key, which is generated here and never stored.

    Args:
        ca_file: PEM file with the key and the certificate of the certificate authority.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file has other content.
    """

    def __init__(self, ca_file: Path) -> None:
        pem = ca_file.read_bytes()
        key = load_pem_private_key(pem, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ValueError("the CA key is not an elliptic-curve key")  # noqa: TRY004  (a file's content)
        self._ca_key = key
        self._ca_certificate = x509.load_pem_x509_certificate(pem)
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key_pem = self._leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def issue(self, names: Sequence[str], now: float) -> tuple[bytes, float]:
        """Issue a certificate.

        It never outlives the CA certificate, and starts a day early for clients whose clock is behind.

        Args:
            names: Host names and IP addresses.
            now: Real time in Unix seconds.

        Returns:
            Key and certificate as PEM, and the expiry in Unix seconds.
        """
        at = datetime.fromtimestamp(now, UTC)
        end = min(at + CERTIFICATE_LIFETIME, self._ca_certificate.not_valid_after_utc)
        public = self._leaf_key.public_key()
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "fnkit platform")]))
            .issuer_name(self._ca_certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - _CLOCK_SKEW)
            .not_valid_after(end)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_KEY_USAGE, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._ca_key.public_key()), critical=False
            )
            .sign(self._ca_key, hashes.SHA256())
        )
        return self._leaf_key_pem + certificate.public_bytes(Encoding.PEM), end.timestamp()


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
