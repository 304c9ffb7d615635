"""Which changes can be sent as the end of an archive, and which end that is."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fnkit.contract.platform import MAX_EDITED_BYTES
from fnkit.contract.requests import Secret, UpdateFunction
from fnkit.contract.resources import Function
from fnkit.deploy.archive_edit import changes_code_only, find_archive_end

SETTINGS: dict[str, object] = {
    "environment_variables": {"A": "b"},
    "min_scale": 0,
    "max_scale": 5,
    "runtime": "python311",
    "memory_limit": 128,
    "timeout": "300s",
    "handler": "main.handle",
    "privacy": "public",
    "description": "",
    "http_option": "enabled",
    "sandbox": "v2",
    "private_network_id": "",
}
OTHER_SETTINGS: dict[str, object] = {
    "environment_variables": {},
    "min_scale": 1,
    "max_scale": 6,
    "runtime": "python312",
    "memory_limit": 256,
    "timeout": "10s",
    "handler": "main.other",
    "privacy": "private",
    "description": "text",
    "http_option": "redirected",
    "sandbox": "v1",
    "private_network_id": "3a7e4b6e-7f0c-4a52-8a52-1d0d3c1f4a55",
}


def function(status: str = "ready") -> Function:
    identity = {"id": "i", "name": "n", "namespace_id": "s", "domain_name": "d", "region": "fr-par"}
    return msgspec.convert(
        {
            **SETTINGS,
            **identity,
            "private_network_id": None,
            "status": status,
            "cpu_limit": 70,
            "tags": ["fnkit.code=1"],
            "secret_environment_variables": [],
        },
        Function,
    )


def update(**changed: object) -> UpdateFunction:
    return msgspec.convert({**SETTINGS, "redeploy": True, "tags": ["fnkit.code=2"], **changed}, UpdateFunction)


def test_other_tags_alone_change_the_code_only() -> None:
    assert changes_code_only(function(), update())


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_changed_setting_is_more_than_code(name: str) -> None:
    assert not changes_code_only(function(), update(**{name: OTHER_SETTINGS[name]}))


def test_changed_secret_and_function_in_error_are_more_than_code() -> None:
    secret = [Secret(key="A", value="b")]
    assert not changes_code_only(function(), msgspec.structs.replace(update(), secret_environment_variables=secret))
    assert not changes_code_only(function("error"), update())


def files(folder: Path, old: bytes, new: bytes) -> tuple[Path, Path]:
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    return folder / "old", folder / "new"


@pytest.mark.parametrize("length", [4096, 5000, 1 << 20, (1 << 20) + 5000])
def test_end_begins_at_the_last_whole_block_that_is_the_same(tmp_path: Path, length: int) -> None:
    common = bytes(range(256)) * (length // 256) + b"c" * (length % 256)
    end = find_archive_end(*files(tmp_path, common + b"old", common + b"new and longer"))
    assert end is not None
    assert end.kept == length // 4096 * 4096
    assert common[: end.kept] + end.content == common + b"new and longer"


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"a" * 5000, b"b" * 5000), (b"a" * 5000, b"a" * 5000 + b"b" * (MAX_EDITED_BYTES + 5000)), (b"", b"")],
    ids=["nothing in common", "too much", "empty"],
)
def test_archives_without_a_short_end_are_uploaded(tmp_path: Path, old: bytes, new: bytes) -> None:
    assert find_archive_end(*files(tmp_path, old, new)) is None


def test_lost_archive_is_uploaded(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"a" * 5000)
    assert find_archive_end(tmp_path / "old", tmp_path / "new") is None
