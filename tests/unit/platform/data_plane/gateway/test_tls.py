"""Certificates are issued on demand, cached up to a limit, and renewed before they expire."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509

from fnkit.platform.data_plane.gateway.tls import CertificateStore
from fnkit.platform.model.settings import DataLayout
from fnkit.platform.supervisor.certificate_authority import ensure_certificate_authority

DAY = 86400.0


class Clock:
    def __init__(self) -> None:
        self.time = time.time()

    def now(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def layout(tmp_path: Path) -> DataLayout:
    ensure_certificate_authority(DataLayout(tmp_path))
    return DataLayout(tmp_path)


def certificate_store(layout: DataLayout, clock: Clock, max_cached: int = 100) -> CertificateStore:
    return CertificateStore(
        layout.ca_file,
        layout.data_dir,
        gateway_names=("localhost", "127.0.0.1", "::1"),
        is_routed=lambda name: name.endswith(b".test"),
        now=clock.now,
        max_cached=max_cached,
    )


def handshake(
    certificates: CertificateStore,
    layout: DataLayout,
    name: str,
    address: str = "127.0.0.1",
    *,
    verify: bool = True,
) -> x509.Certificate:
    """Perform a TLS handshake in memory and return the server's certificate, by default verified."""
    server_context = asyncio.run(certificates.context_for(address))
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.load_verify_locations(layout.ca_certificate_file)
    client_context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    client_context.check_hostname = False
    client_context.verify_mode = ssl.CERT_REQUIRED if verify else ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    pending = [client, server]
    while pending:
        for end in list(pending):
            try:
                end.do_handshake()
                pending.remove(end)
            except ssl.SSLWantReadError:
                continue
    der = client.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def names(certificate: x509.Certificate) -> set[str]:
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(entry.value) for entry in found}


def test_certificate_is_issued_once_per_name(layout: DataLayout, clock: Clock) -> None:
    certificates = certificate_store(layout, clock)
    first = handshake(certificates, layout, "a.test")
    assert names(first) == {"a.test"}
    assert handshake(certificates, layout, "a.test") == first
    assert handshake(certificates, layout, "b.test") != first


@pytest.mark.parametrize(("days", "renewed"), [(0, False), (59, False), (61, True), (89, True), (1000, True)])
def test_certificate_is_renewed_before_it_expires(
    layout: DataLayout, clock: Clock, days: int, *, renewed: bool
) -> None:
    certificates = certificate_store(layout, clock)
    clock.time -= days * DAY
    first, gateway_certificate = (
        handshake(certificates, layout, name, verify=False) for name in ("a.test", "unrouted")
    )
    clock.time += days * DAY
    assert (handshake(certificates, layout, "a.test") != first) is renewed
    assert (handshake(certificates, layout, "unrouted") != gateway_certificate) is renewed


def test_certificate_lifetime_is_within_the_limit_of_clients(layout: DataLayout, clock: Clock) -> None:
    certificate = handshake(certificate_store(layout, clock), layout, "a.test")
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days < 398
    assert certificate.not_valid_before_utc.timestamp() < clock.time < certificate.not_valid_after_utc.timestamp()


def test_gateway_certificate_contains_the_listening_address(layout: DataLayout, clock: Clock) -> None:
    certificates = certificate_store(layout, clock)
    gateway_certificate = {"localhost", "127.0.0.1", "::1"}
    assert names(handshake(certificates, layout, "unrouted")) == gateway_certificate
    assert names(handshake(certificates, layout, "unrouted", "192.0.2.7")) == gateway_certificate | {"192.0.2.7"}
    assert names(handshake(certificates, layout, "a.test", "192.0.2.7")) == {"a.test"}


def test_least_recently_used_certificate_is_evicted(layout: DataLayout, clock: Clock) -> None:
    certificates = certificate_store(layout, clock, max_cached=2)
    first = handshake(certificates, layout, "a.test")
    second = handshake(certificates, layout, "b.test")
    assert handshake(certificates, layout, "a.test") == first
    handshake(certificates, layout, "c.test")
    assert handshake(certificates, layout, "a.test") == first
    assert handshake(certificates, layout, "b.test") != second


def test_private_keys_are_not_written_to_disk(layout: DataLayout, clock: Clock) -> None:
    before = set(layout.data_dir.rglob("*"))
    handshake(certificate_store(layout, clock), layout, "a.test")
    assert set(layout.data_dir.rglob("*")) == before


@pytest.mark.parametrize("content", [None, b"", b"nothing"])
def test_unreadable_authority_fails_until_it_is_restored(
    layout: DataLayout, clock: Clock, content: bytes | None
) -> None:
    valid = layout.ca_file.read_bytes()
    layout.ca_file.unlink()
    if content is not None:
        layout.ca_file.write_bytes(content)
    certificates = certificate_store(layout, clock)
    with pytest.raises((OSError, ValueError)):
        asyncio.run(certificates.context_for("127.0.0.1"))
    layout.ca_file.write_bytes(valid)
    assert names(handshake(certificates, layout, "a.test")) == {"a.test"}
