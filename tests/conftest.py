"""Fixtures of all tests: a clean environment, a home directory for each test, and shared platforms."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.cluster.fixtures import cluster, function_images, kube_namespace, kubernetes_engine
from tests.support.command import Command
from tests.support.engine_under_test import using_engine
from tests.support.golden import Golden
from tests.support.left_platforms import stop_left_platforms
from tests.support.platform import PlatformUnderTest, running_platform
from tests.support.toolchains import installation_line, packaged_programs_on_path

__all__ = ["cluster", "function_images", "kube_namespace", "kubernetes_engine"]

GOLDEN = Path(__file__).parent / "golden"
_CLUSTER_TIMEOUT = 1800  # seconds per test: the first one waits for its cluster

_SCRUBBED = ("SCW_", "FNKIT_", "AWS_", "GITHUB_", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")

# ``repeatable`` runs the same examples every time, so that a failure is due to the tested change. It has no
# deadline, because the machine may be busy. ``quick`` runs a fifth of them (``make test``), ``exploring`` runs new
# ones. Tests with their own number of examples scale it by the profile: tests/support/examples.py.
settings.register_profile("exploring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("repeatable", settings.get_profile("exploring"), derandomize=True)
# A fifth of the examples is too few to measure which share a test filters out.
settings.register_profile(
    "quick",
    settings.get_profile("repeatable"),
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write the golden files anew.")
    parser.addoption(
        "--engine",
        choices=("local", "kubernetes"),
        default="local",
        help="The engine of the platforms that tests start.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Handle SIGINT, which tests send: a shell ignores it in background processes and their children."""
    toolchains = contextlib.ExitStack()
    toolchains.enter_context(packaged_programs_on_path())  # before modules with tests are imported
    config.add_cleanup(toolchains.close)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give tests more time with another engine than that of this machine."""
    if config.getoption("--engine") == "local":
        return
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_CLUSTER_TIMEOUT))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Say at the very end, in one line, how to install what skipped tests lacked."""
    yield
    skipped = (str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if line := installation_line(skipped):
        terminalreporter.write_sep("=", "toolchains that skipped tests lacked")
        terminalreporter.write_line(line)


@pytest.fixture(scope="session", autouse=True)
def chosen_engine(request: pytest.FixtureRequest, scrubbed_environment: None) -> Iterator[None]:
    """Let tests use the engine that the option names."""
    del scrubbed_environment
    if request.config.getoption("--engine") == "local":
        yield
        return
    from tests.cluster.engine_under_test import ClusterEngine  # with the client of clusters, which few tests need

    engine = ClusterEngine(request.getfixturevalue("cluster"), request.getfixturevalue("function_images"))
    with using_engine(engine):
        yield


@pytest.fixture(scope="session", autouse=True)
def scrubbed_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remove the developer's settings and keys from the environment; the cache of downloads is kept."""
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
def own_home(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """Give each test its own home directory, so that it finds no other test's platform, profile or state.

    A test that leaves a platform running there, or in its temporary directory, fails, and the platform is stopped.
    """
    home = tmp_path_factory.mktemp("home")
    _move_home(monkeypatch, home)
    yield home
    own = request.node.funcargs.get("tmp_path")
    left = stop_left_platforms(home, *([own] if isinstance(own, Path) else []))
    assert left == [], "the test has left platforms running"


def _move_home(patch: pytest.MonkeyPatch, home: Path) -> None:
    patch.setenv("HOME", str(home))
    for name, folder in (("CONFIG", ".config"), ("DATA", ".local/share"), ("STATE", ".local/state")):
        patch.setenv(f"XDG_{name}_HOME", str(home / folder))
    patch.delenv("XDG_RUNTIME_DIR", raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty project directory, which is the current directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def fnkit() -> Command:
    """The installed command with this test's environment."""
    return Command()


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compares output with a file under ``tests/golden``; --update-golden writes the file."""
    return Golden(GOLDEN, update=bool(request.config.getoption("--update-golden")))


@pytest.fixture(scope="session")
def session_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    """Run a real platform at normal clock speed."""
    with running_platform(tmp_path_factory.mktemp("platform")) as running:
        yield running


@pytest.fixture(scope="module")
def platform(session_platform: PlatformUnderTest) -> Iterator[PlatformUnderTest]:
    """A real platform at normal clock speed, empty for each module, whose tests share it."""
    yield session_platform
    session_platform.delete_namespaces()


@pytest.fixture(scope="session")
def session_manual_clock_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformUnderTest]:
    """Run a real platform whose clock only ``advance`` moves."""
    with running_platform(tmp_path_factory.mktemp("manual"), "--manual-clock") as running:
        yield running


@pytest.fixture(scope="module")
def manual_clock_platform(session_manual_clock_platform: PlatformUnderTest) -> Iterator[PlatformUnderTest]:
    """A real platform whose clock only ``advance`` moves, empty for each module, whose tests share it."""
    yield session_manual_clock_platform
    session_manual_clock_platform.delete_namespaces()
