"""Wiring only: a scrubbed environment, a fresh folder for each test, one real platform for those who ask."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.command import Command
from tests.support.golden import Golden
from tests.support.platform import PlatformUnderTest, running_platform

GOLDEN = Path(__file__).parent / "golden"

_SCRUBBED = ("SCW_", "FNKIT_", "AWS_", "GITHUB_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

# ``repeatable`` tries the same examples in every run, so that a failure is due to the change that is tested. It has
# no deadline, since the machine may be busy. ``quick`` tries a fifth of them (``make test``), ``exploring`` tries
# new ones. Tests that name a count of their own scale it by the profile: tests/support/examples.py.
settings.register_profile("exploring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("exploring"), derandomize=True)
# A fifth of the examples is too few to judge how many a test filters out.
settings.register_profile(
    "quick",
    settings.get_profile("repeatable"),
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write the golden files anew.")


def pytest_configure() -> None:
    """Let tests press Ctrl-C. A shell starts what it puts into the background deaf to it, children included."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def scrubbed_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the developer's own settings or keys reaches a test; downloads are kept between runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(_SCRUBBED) or name.lower() in _PROXIES:
                patch.delenv(name)
        if "UV_CACHE_DIR" not in os.environ:
            cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
            patch.setenv("UV_CACHE_DIR", str(cache / "uv"))
        patch.setenv("COLUMNS", "100")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        _move_home(patch, tmp_path_factory.mktemp("home"))
        yield


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Each test has a home folder of its own, so none finds another's platform, profile or state."""
    home = tmp_path_factory.mktemp("home")
    _move_home(monkeypatch, home)
    return home


def _move_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("HOME", str(home))
    for name, folder in (("CONFIG", ".config"), ("DATA", ".local/share"), ("STATE", ".local/state")):
        patch.setenv(f"XDG_{name}_HOME", str(home / folder))
    patch.delenv("XDG_RUNTIME_DIR", raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to make a project in, and the current one."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def fnkit() -> Command:
    """The installed command, with this test's environment."""
    return Command()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare with, or with --update-golden write, a file under ``tests/golden``."""
    return Golden(GOLDEN, update=bool(request.config.getoption("--update-golden")))


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    """A real platform on free ports, its clock at normal speed; shared, so each test uses its own namespace."""
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="session")
def manual_clock_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    """A real platform whose clock moves only when a test moves it (``advance``)."""
    with running_platform(tmp_path_factory.mktemp("manual"), "--manual-clock") as running:
        yield running
