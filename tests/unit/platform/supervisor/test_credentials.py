"""Keys have Scaleway's form, are made once, and are nobody else's to read."""

from __future__ import annotations

import re
import stat
import uuid
from pathlib import Path

import pytest

from fnkit.errors import PlatformError
from fnkit.platform.supervisor.data_directory import load_credentials, load_or_create_credentials


def test_an_identity_has_scaleways_form(tmp_path: Path) -> None:
    made = load_or_create_credentials(tmp_path / "platform.json")
    assert uuid.UUID(made.secret_key).version == 4
    assert re.fullmatch(r"SCW[A-Z0-9]{17}", made.access_key)
    assert made.project_id == made.organization_id == str(uuid.UUID(made.project_id))


def test_an_identity_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "platform.json"
    assert load_or_create_credentials(file) == load_or_create_credentials(file) == load_credentials(file)


def test_two_platforms_have_two_identities(tmp_path: Path) -> None:
    assert (
        load_or_create_credentials(tmp_path / "a").secret_key
        != load_or_create_credentials(tmp_path / "b").secret_key
    )


def test_the_file_is_private_and_nothing_else_is_left(tmp_path: Path) -> None:
    load_or_create_credentials(tmp_path / "platform.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["platform.json"]
    assert stat.S_IMODE((tmp_path / "platform.json").stat().st_mode) == 0o600


def test_no_file_is_no_identity(tmp_path: Path) -> None:
    assert load_credentials(tmp_path / "platform.json") is None


@pytest.mark.parametrize("content", ["", "{", '{"secret_key": "x"}', "[]"])
def test_a_broken_file_is_refused_and_kept(content: str, tmp_path: Path) -> None:
    file = tmp_path / "platform.json"
    file.write_text(content)
    with pytest.raises(PlatformError) as caught:
        load_or_create_credentials(file)
    assert caught.value.code == "identity-unreadable"
    assert file.read_text() == content


def test_the_secret_key_is_not_in_its_repr(tmp_path: Path) -> None:
    made = load_or_create_credentials(tmp_path / "platform.json")
    assert made.secret_key not in repr(made)
