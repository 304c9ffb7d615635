"""The platform's certificate authority is made once, repaired, and replaced in time."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from fnkit.errors import PlatformError
from fnkit.platform.layout import Layout
from fnkit.platform.server.authority import LIFETIME, RENEWED_BEFORE, make_authority

NOW = 1_800_000_000.0


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    make_authority(Layout(tmp_path), NOW)
    return Layout(tmp_path)


def test_key_and_folder_are_their_owners_alone(layout: Layout) -> None:
    assert stat.S_IMODE(layout.authority.stat().st_mode) == 0o600
    assert stat.S_IMODE(layout.tls.stat().st_mode) == 0o700
    assert b"PRIVATE KEY" in layout.authority.read_bytes()
    assert b"PRIVATE KEY" not in layout.authority_certificate.read_bytes()


def test_it_may_sign_leaves_and_nothing_else(layout: Layout) -> None:
    certificate = x509.load_pem_x509_certificate(layout.authority_certificate.read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert certificate.subject == certificate.issuer
    assert certificate.not_valid_before_utc.timestamp() < NOW < certificate.not_valid_after_utc.timestamp()


def test_it_is_made_once(layout: Layout) -> None:
    before = layout.authority.read_bytes()
    make_authority(layout, NOW + 86400)
    assert layout.authority.read_bytes() == before


def test_a_lost_certificate_is_written_again(layout: Layout) -> None:
    before = layout.authority_certificate.read_bytes()
    layout.authority_certificate.unlink()
    make_authority(layout, NOW)
    assert layout.authority_certificate.read_bytes() == before
    assert layout.authority.read_bytes().endswith(before)


@pytest.mark.parametrize(("early", "replaced"), [(timedelta(days=1), False), (timedelta(days=-1), True)])
def test_it_is_replaced_before_it_cannot_sign_a_whole_certificate(
    layout: Layout, early: timedelta, *, replaced: bool
) -> None:
    before = layout.authority.read_bytes()
    make_authority(layout, NOW + (LIFETIME - RENEWED_BEFORE - early).total_seconds())
    assert (layout.authority.read_bytes() != before) is replaced
    assert layout.authority.read_bytes().endswith(layout.authority_certificate.read_bytes())


def test_two_platforms_have_two_authorities_with_two_names(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Layout(tmp_path / "other")
    make_authority(other, NOW)
    first, second = (
        x509.load_pem_x509_certificate(one.authority_certificate.read_bytes()) for one in (layout, other)
    )
    assert first.subject != second.subject
    assert first.public_key() != second.public_key()


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\n"])
def test_what_is_no_authority_is_refused_and_left_where_it_is(layout: Layout, content: bytes) -> None:
    layout.authority.write_bytes(content)
    with pytest.raises(PlatformError) as caught:
        make_authority(layout, NOW)
    assert caught.value.code == "authority-unreadable"
    assert layout.authority.read_bytes() == content


def test_a_key_that_is_not_the_certificates_is_refused(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    make_authority(Layout(tmp_path / "other"), NOW)
    other = Layout(tmp_path / "other").authority.read_bytes()
    key = other[: other.index(b"-----BEGIN CERTIFICATE-----")]
    layout.authority.write_bytes(key + layout.authority_certificate.read_bytes())
    with pytest.raises(PlatformError):
        make_authority(layout, NOW)
