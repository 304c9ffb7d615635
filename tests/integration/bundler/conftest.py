"""Fixtures: a package index on loopback for each test, isolated from the machine's index settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.bundle_projects import BundleRun
from tests.support.package_index import PackageIndex, package_index


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    with package_index(tmp_path / "index") as server:
        for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "UV_INDEX", "UV_INDEX_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("UV_DEFAULT_INDEX", server.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
        monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        yield server


@pytest.fixture
def bundling(tmp_path: Path) -> BundleRun:
    return BundleRun(tmp_path)
