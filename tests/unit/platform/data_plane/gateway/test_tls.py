"""Certificates are made when they are asked for, kept within a bound, and made again before they end."""

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


def make(layout: DataLayout, clock: Clock, kept: int = 100) -> CertificateStore:
    return CertificateStore(
        layout.ca_file,
        layout.data_dir,
        gateway_names=("localhost", "127.0.0.1", "::1"),
        is_routed=lambda name: name.endswith(b".test"),
        now=clock.now,
        max_cached=kept,
    )


def shown(
    certificates: CertificateStore,
    layout: DataLayout,
    name: str,
    address: str = "127.0.0.1",
    *,
    checked: bool = True,
) -> x509.Certificate:
    """Shake hands in memory and return what the server showed; ``checked`` by a client in real time."""
    server_context = asyncio.run(certificates.context_for(address))
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(layout.ca_certificate_file)
    trusting.verify_flags |= ssl.VerifyFlags.VERIFY_X509_STRICT
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_REQUIRED if checked else ssl.CERT_NONE
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
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


def test_a_certificate_is_made_once_for_a_name(layout: DataLayout, clock: Clock) -> None:
    certificates = make(layout, clock)
    first = shown(certificates, layout, "a.test")
    assert names(first) == {"a.test"}
    assert shown(certificates, layout, "a.test") == first
    assert shown(certificates, layout, "b.test") != first


@pytest.mark.parametrize(("days", "again"), [(0, False), (59, False), (61, True), (89, True), (1000, True)])
def test_it_is_made_again_before_it_ends(layout: DataLayout, clock: Clock, days: int, *, again: bool) -> None:
    certificates = make(layout, clock)
    clock.time -= days * DAY
    first, own = (shown(certificates, layout, name, checked=False) for name in ("a.test", "nobody"))
    clock.time += days * DAY
    assert (shown(certificates, layout, "a.test") != first) is again
    assert (shown(certificates, layout, "nobody") != own) is again


def test_no_certificate_lasts_longer_than_clients_accept(layout: DataLayout, clock: Clock) -> None:
    certificate = shown(make(layout, clock), layout, "a.test")
    assert (certificate.not_valid_after_utc - certificate.not_valid_before_utc).days < 398
    assert certificate.not_valid_before_utc.timestamp() < clock.time < certificate.not_valid_after_utc.timestamp()


def test_the_gateways_own_names_the_address_that_was_called(layout: DataLayout, clock: Clock) -> None:
    certificates = make(layout, clock)
    own = {"localhost", "127.0.0.1", "::1"}
    assert names(shown(certificates, layout, "nobody")) == own
    assert names(shown(certificates, layout, "nobody", "192.0.2.7")) == own | {"192.0.2.7"}
    assert names(shown(certificates, layout, "a.test", "192.0.2.7")) == {"a.test"}


def test_those_asked_for_least_lately_are_forgotten(layout: DataLayout, clock: Clock) -> None:
    certificates = make(layout, clock, kept=2)
    first = shown(certificates, layout, "a.test")
    second = shown(certificates, layout, "b.test")
    assert shown(certificates, layout, "a.test") == first
    shown(certificates, layout, "c.test")
    assert shown(certificates, layout, "a.test") == first
    assert shown(certificates, layout, "b.test") != second


def test_no_key_is_left_on_disk(layout: DataLayout, clock: Clock) -> None:
    before = set(layout.data_dir.rglob("*"))
    shown(make(layout, clock), layout, "a.test")
    assert set(layout.data_dir.rglob("*")) == before


@pytest.mark.parametrize("content", [None, b"", b"nothing"])
def test_without_an_authority_a_client_is_let_go_and_a_later_one_served(
    layout: DataLayout, clock: Clock, content: bytes | None
) -> None:
    good = layout.ca_file.read_bytes()
    layout.ca_file.unlink()
    if content is not None:
        layout.ca_file.write_bytes(content)
    certificates = make(layout, clock)
    with pytest.raises((OSError, ValueError)):
        asyncio.run(certificates.context_for("127.0.0.1"))
    layout.ca_file.write_bytes(good)
    assert names(shown(certificates, layout, "a.test")) == {"a.test"}
