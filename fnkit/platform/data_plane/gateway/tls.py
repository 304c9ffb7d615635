"""TLS certificates of the gateway, issued on demand by the platform's certificate authority.

A client that requests the host name of a function by SNI gets a certificate for that name, every other client one
for the gateway's own names. Certificates are kept in memory and reissued before they expire. They share one private
key, which each data plane generates anew and never stores.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
import tempfile
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
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

_MAX_CACHED_CERTIFICATES: Final = 512  # 20 KiB each
_RENEWAL_SECONDS: Final = 30 * 86400.0
_log = logging.getLogger(__name__)


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


class CertificateStore:
    """Server contexts by host name, with an LRU cache of certificates. Lives on one event loop.

    Args:
        ca_file: PEM file with the key and the certificate of the certificate authority.
        temporary_dir: Private directory for temporary files: ``ssl`` loads certificates only from files.
        gateway_names: Host names and addresses of the gateway.
        is_routed: Returns whether a function has this host name.
        now: Returns real time in Unix seconds.
        max_cached: Size of the cache.
    """

    def __init__(
        self,
        ca_file: Path,
        temporary_dir: Path,
        *,
        gateway_names: Iterable[str],
        is_routed: Callable[[bytes], object],
        now: Callable[[], float] = time.time,
        max_cached: int = _MAX_CACHED_CERTIFICATES,
    ) -> None:
        self._ca_file = ca_file
        self._temporary_dir = temporary_dir
        self._gateway_names = tuple(dict.fromkeys(gateway_names))
        self._is_routed = is_routed
        self._now = now
        self._max_cached = max_cached
        self._issuer: CertificateIssuer | None = None
        self._issuer_future: asyncio.Future[CertificateIssuer] | None = None
        self._listener_contexts: dict[str, ssl.SSLContext] = {}
        self._cache: OrderedDict[str, tuple[ssl.SSLContext, float]] = OrderedDict()

    async def context_for(self, address: str) -> ssl.SSLContext:
        """Return the context for connections to this local address; its SNI callback selects the certificate.

        Raises:
            OSError: The file of the certificate authority cannot be read.
            ValueError: The file has other content.
        """
        if self._issuer is None:
            self._issuer = await self._load_issuer()
        context = self._listener_contexts.get(address)
        if context is None:
            context = _server_context()
            context.sni_callback = self._sni_callback(address)
            self._listener_contexts[address] = context
        return context

    async def _load_issuer(self) -> CertificateIssuer:
        """Load the certificate authority once, in a thread: importing ``cryptography`` takes 50 ms."""
        if self._issuer_future is None:
            self._issuer_future = asyncio.get_running_loop().run_in_executor(None, CertificateIssuer, self._ca_file)
        try:
            # Shielded, since several connections wait for this future and each may be cancelled.
            return await asyncio.shield(self._issuer_future)
        except (OSError, ValueError) as error:
            self._issuer_future = None
            _log.error("cannot serve TLS: %s", error)
            raise

    def _sni_callback(
        self, address: str
    ) -> Callable[[ssl.SSLSocket | ssl.SSLObject, str | None, ssl.SSLContext], int | None]:
        def choose(
            connection: ssl.SSLSocket | ssl.SSLObject, name: str | None, _context: ssl.SSLContext
        ) -> int | None:
            wanted = (name or "").lower().rstrip(".")
            try:
                routed = bool(wanted) and bool(self._is_routed(wanted.encode("latin-1", "replace")))
                names = (wanted,) if routed else (address, *self._gateway_names)
                connection.context = self._context_for_names(*names)
            except (OSError, ValueError) as error:
                _log.error("cannot issue a certificate for %s: %s", wanted or address, error)
                return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
            return None

        return choose

    def _context_for_names(self, *names: str) -> ssl.SSLContext:
        """Return a context with a certificate for these names. The first name is the cache key."""
        now = self._now()
        found = self._cache.get(names[0])
        if found is not None and found[1] - now > _RENEWAL_SECONDS:
            self._cache.move_to_end(names[0])
            return found[0]
        if self._issuer is None:
            raise ValueError("the certificate authority is not loaded")
        pem, end = self._issuer.issue(tuple(dict.fromkeys(names)), now)
        context = _server_context()
        with tempfile.NamedTemporaryFile(dir=self._temporary_dir, prefix="leaf-") as file:
            file.write(pem)
            file.flush()
            context.load_cert_chain(file.name)
        self._cache[names[0]] = context, end
        if len(self._cache) > self._max_cached:
            self._cache.popitem(last=False)
        return context


def _server_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
