"""The platform's credentials have Scaleway's format, are created once, and are private."""

from __future__ import annotations

import re
import stat
import uuid
from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.supervisor.data_directory import load_credentials, load_or_create_credentials


def test_credentials_have_the_format_of_scaleway(tmp_path: Path) -> None:
    credentials = load_or_create_credentials(tmp_path / "platform.json")
    assert uuid.UUID(credentials.secret_key).version == 4
    assert re.fullmatch(r"SCW[A-Z0-9]{17}", credentials.access_key)
    assert credentials.project_id == credentials.organization_id == str(uuid.UUID(credentials.project_id))


def test_existing_credentials_are_kept(tmp_path: Path) -> None:
    file = tmp_path / "platform.json"
    assert load_or_create_credentials(file) == load_or_create_credentials(file) == load_credentials(file)


def test_two_platforms_have_different_secret_keys(tmp_path: Path) -> None:
    assert (
        load_or_create_credentials(tmp_path / "a").secret_key
        != load_or_create_credentials(tmp_path / "b").secret_key
    )


def test_credentials_file_is_private_and_the_only_file(tmp_path: Path) -> None:
    load_or_create_credentials(tmp_path / "platform.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["platform.json"]
    assert stat.S_IMODE((tmp_path / "platform.json").stat().st_mode) == 0o600


def test_missing_file_loads_no_credentials(tmp_path: Path) -> None:
    assert load_credentials(tmp_path / "platform.json") is None


@pytest.mark.parametrize("content", ["", "{", '{"secret_key": "x"}', "[]"])
def test_invalid_file_is_rejected_and_kept(content: str, tmp_path: Path) -> None:
    file = tmp_path / "platform.json"
    file.write_text(content)
    with pytest.raises(PlatformError) as raised:
        load_or_create_credentials(file)
    assert raised.value.code == "identity-unreadable"
    assert file.read_text() == content


def test_secret_key_is_not_in_the_repr(tmp_path: Path) -> None:
    credentials = load_or_create_credentials(tmp_path / "platform.json")
    assert credentials.secret_key not in repr(credentials)
