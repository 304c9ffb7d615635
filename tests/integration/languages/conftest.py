"""What the tests of hostile handlers in each language share."""

from __future__ import annotations

import pytest

from tests.support.hostile_languages import HostileCode


@pytest.fixture(scope="session")
def code(tmp_path_factory: pytest.TempPathFactory) -> HostileCode:
    return HostileCode(tmp_path_factory)
