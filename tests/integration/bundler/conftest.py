"""Fixtures: a package index on loopback for each test, isolated from the machine's index settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bundle_projects import BundleRun
from tests.support.package_index import PackageIndex, only_package_index


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with only_package_index(tmp_path, monkeypatch) as server:
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        yield server


@pytest.fixture
def bundling(tmp_path: Path) -> BundleRun:
    return BundleRun(tmp_path)
