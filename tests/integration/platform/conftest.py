"""Fixture: one control process, shared by the tests that only add resources to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.control_process import ControlProcess, running_control
from tests.support.fake_data_plane import connected_data_plane


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlProcess]:
    """A control process whose data plane peer starts every deployment. Each test uses its own namespace."""
    with (
        running_control(tmp_path_factory.mktemp("c")) as process,
        connected_data_plane(process.settings.control_socket),
    ):
        yield process
