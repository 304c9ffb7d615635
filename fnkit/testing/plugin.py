"""The fixtures that pytest loads wherever fnkit is installed.

Nothing of the platform is imported or started before a test asks for it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fnkit.worker.python.included_directories import install_from_environment

if TYPE_CHECKING:
    from fnkit.testing.platform import PlatformForTests
    from fnkit.testing.project import DeployedProject

install_from_environment(os.environ)  # before pytest imports a conftest.py, which may use included directories


@pytest.fixture(scope="session")
def fnkit_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformForTests]:
    """A platform for this session of tests, with a clock that stands still until a test moves it."""
    from fnkit.testing.platform import running_platform

    with running_platform(tmp_path_factory.mktemp("fnkit-platform", numbered=True)) as platform:
        yield platform


@pytest.fixture(scope="session")
def fnkit_project(request: pytest.FixtureRequest, fnkit_platform: PlatformForTests) -> DeployedProject:
    """The project of the tests, deployed to the platform of this session.

    It is the nearest directory with settings of fnkit, from the root directory of the tests upwards. Values of
    secrets come from the environment or ``.env``.
    """
    return fnkit_platform.deploy(_project_directory(request.config.rootpath))


def _project_directory(root: Path) -> Path:
    for directory in (root, *root.parents):
        if (directory / "fnkit.toml").is_file() or (directory / "pyproject.toml").is_file():
            return directory
    return root
