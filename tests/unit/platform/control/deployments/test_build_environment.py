"""What build tools get of the user's environment: ways to registries, never credentials."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fnkit.contract.toml_value import toml_value
from fnkit.platform.control.deployments.build_environment import (
    cargo_options,
    go_environment,
    registry_environment,
)
from fnkit.platform.supervisor.data_directory import child_environment
from tests.support.builds import toolchain


def test_only_listed_variables_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "HTTPS_PROXY": "http://proxy:3128",
        "SCW_SECRET_KEY": "s",
        "CARGO_NET_OFFLINE": "true",
    }.items():
        monkeypatch.setenv(name, value)
    passed = registry_environment("CARGO_NET_OFFLINE")
    assert passed["HTTPS_PROXY"] == "http://proxy:3128"
    assert passed["CARGO_NET_OFFLINE"] == "true"
    assert "SCW_SECRET_KEY" not in passed
    assert "CARGO_NET_OFFLINE" not in registry_environment()


def test_credentials_in_urls_are_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://user:secret@proxy:3128")
    monkeypatch.setenv("GOPROXY", "https://me:secret@one/go,https://two/go|direct")
    assert registry_environment("GOPROXY")["GOPROXY"] == "https://one/go,https://two/go|direct"
    assert registry_environment()["HTTP_PROXY"] == "http://proxy:3128"


def test_proxies_reach_builds_through_the_platform_but_not_the_platform_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inherited = child_environment({"HTTPS_PROXY": "http://proxy:3128", "no_proxy": "localhost"})
    assert "HTTPS_PROXY" not in inherited
    for name, value in inherited.items():
        monkeypatch.setenv(name, value)
    passed = registry_environment()
    assert (passed["HTTPS_PROXY"], passed["no_proxy"]) == ("http://proxy:3128", "localhost")


@pytest.mark.slow
def test_variables_of_go_come_from_its_own_configuration(monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    go = toolchain("Go")
    monkeypatch.delenv("GOPRIVATE", raising=False)
    folder = own_home / ".config/go"
    folder.mkdir(parents=True, exist_ok=True)  # go may keep counters there
    (folder / "env").write_text("GOPRIVATE=example.com/private\nGOFLAGS=-x\n")
    go_environment.cache_clear()
    passed = go_environment(go)
    go_environment.cache_clear()
    assert passed["GOPRIVATE"] == "example.com/private"
    assert "GOFLAGS" not in passed


def test_cargo_configuration_is_passed_on_without_tokens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text(
        '[source.crates-io]\nreplace-with = "mirror"\n[source.mirror]\nregistry = "sparse+https://me:secret@mirror/"\n'
        '[registries.own]\nindex = "sparse+https://own/"\ntoken = "secret"\n[registry]\ntoken = "secret"\n'
        '[http]\nmultiplexing = false\n[build]\nrustc-wrapper = "sccache"\n'
    )
    options = cargo_options()
    assert set(options[::2]) == {"--config"}
    merged = tomllib.loads("\n".join(options[1::2]))
    assert merged == {
        "source": {"crates-io": {"replace-with": "mirror"}, "mirror": {"registry": "sparse+https://mirror/"}},
        "registries": {"own": {"index": "sparse+https://own/"}},
        "http": {"multiplexing": False},
    }


def test_user_without_cargo_configuration_has_no_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARGO_HOME", str(tmp_path))
    assert cargo_options() == []
    (tmp_path / "config.toml").write_text("[broken")
    assert cargo_options() == []


@pytest.mark.parametrize(
    "value", [{"a-b": {"c.d": [1, 2.5, True, 'x"\\\n\x7f\u2028é']}, "": []}, {"version": "1", "features": ["full"]}]
)
def test_values_in_toml_are_read_back(value: object) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value
