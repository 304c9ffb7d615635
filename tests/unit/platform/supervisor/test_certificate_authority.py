"""The platform's certificate authority is created once, repaired, and replaced before it expires."""

from __future__ import annotations

import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from fnkit.errors import PlatformError
from fnkit.platform.model.settings import DataLayout
from fnkit.platform.supervisor.certificate_authority import (
    CA_LIFETIME,
    CA_RENEWAL_MARGIN,
    ensure_certificate_authority,
)

NOW = 1_800_000_000.0


@pytest.fixture
def layout(tmp_path: Path) -> DataLayout:
    ensure_certificate_authority(DataLayout(tmp_path), NOW)
    return DataLayout(tmp_path)


def test_key_and_folder_are_private(layout: DataLayout) -> None:
    assert stat.S_IMODE(layout.ca_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(layout.tls_dir.stat().st_mode) == 0o700
    assert b"PRIVATE KEY" in layout.ca_file.read_bytes()
    assert b"PRIVATE KEY" not in layout.ca_certificate_file.read_bytes()


def test_authority_may_sign_only_leaf_certificates(layout: DataLayout) -> None:
    certificate = x509.load_pem_x509_certificate(layout.ca_certificate_file.read_bytes())
    constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert certificate.subject == certificate.issuer
    assert certificate.not_valid_before_utc.timestamp() < NOW < certificate.not_valid_after_utc.timestamp()


def test_existing_authority_is_kept(layout: DataLayout) -> None:
    before = layout.ca_file.read_bytes()
    ensure_certificate_authority(layout, NOW + 86400)
    assert layout.ca_file.read_bytes() == before


def test_missing_certificate_file_is_restored(layout: DataLayout) -> None:
    before = layout.ca_certificate_file.read_bytes()
    layout.ca_certificate_file.unlink()
    ensure_certificate_authority(layout, NOW)
    assert layout.ca_certificate_file.read_bytes() == before
    assert layout.ca_file.read_bytes().endswith(before)


@pytest.mark.parametrize(("early", "replaced"), [(timedelta(days=1), False), (timedelta(days=-1), True)])
def test_authority_is_replaced_within_the_renewal_margin(
    layout: DataLayout, early: timedelta, *, replaced: bool
) -> None:
    before = layout.ca_file.read_bytes()
    ensure_certificate_authority(layout, NOW + (CA_LIFETIME - CA_RENEWAL_MARGIN - early).total_seconds())
    assert (layout.ca_file.read_bytes() != before) is replaced
    assert layout.ca_file.read_bytes().endswith(layout.ca_certificate_file.read_bytes())


def test_authorities_of_two_platforms_differ_in_name_and_key(layout: DataLayout, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = DataLayout(tmp_path / "other")
    ensure_certificate_authority(other, NOW)
    first, second = (
        x509.load_pem_x509_certificate(one.ca_certificate_file.read_bytes()) for one in (layout, other)
    )
    assert first.subject != second.subject
    assert first.public_key() != second.public_key()


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN CERTIFICATE-----\n"])
def test_invalid_authority_file_is_rejected_and_kept(layout: DataLayout, content: bytes) -> None:
    layout.ca_file.write_bytes(content)
    with pytest.raises(PlatformError) as raised:
        ensure_certificate_authority(layout, NOW)
    assert raised.value.code == "authority-unreadable"
    assert layout.ca_file.read_bytes() == content


def test_key_that_does_not_match_the_certificate_is_rejected(layout: DataLayout, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    ensure_certificate_authority(DataLayout(tmp_path / "other"), NOW)
    other = DataLayout(tmp_path / "other").ca_file.read_bytes()
    key = other[: other.index(b"-----BEGIN CERTIFICATE-----")]
    layout.ca_file.write_bytes(key + layout.ca_certificate_file.read_bytes())
    with pytest.raises(PlatformError):
        ensure_certificate_authority(layout, NOW)
