"""Builders, and caches that all tests of a run share: compiling the standard library and axum takes longest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.builds import Builder, shared_cache


@pytest.fixture(scope="module")
def go_builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    folder = tmp_path_factory.mktemp("go")
    with shared_cache(tmp_path_factory, "go") as cache:
        yield Builder(folder, cache)


@pytest.fixture(scope="module")
def rust_builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Builder]:
    folder = tmp_path_factory.mktemp("rust")
    with shared_cache(tmp_path_factory, "rust") as cache:
        yield Builder(folder, cache)


@pytest.fixture
def builder(tmp_path: Path) -> Builder:
    return Builder(tmp_path, tmp_path / "caches/f")
