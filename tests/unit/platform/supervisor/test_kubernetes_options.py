"""The options of ``--engine kubernetes``: what is refused, and where the cluster is described."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fnkit.errors import PlatformError, UsageError
from fnkit.platform.model.settings import PlatformSettings
from fnkit.platform.supervisor.kubernetes_options import find_kubeconfig
from fnkit.platform.supervisor.options import StartOptions, find_conflict, start_options

HOST = "10.0.0.5:8480"


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    file = tmp_path / "home" / ".kube" / "config"
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    return file


def options(default_file: Path, **given: object) -> StartOptions:
    environ = {"KUBECONFIG": str(default_file)}
    return start_options(
        Path("/data"), {"engine": "kubernetes", "registry_host": HOST, **given}, environ, start_timeout=5.0
    )


def test_options_of_the_cluster_become_settings(kubeconfig: Path) -> None:
    labels = {"team": "shop", "example.com/cost-center": "", "a_b.c": "X-1"}
    settings = options(kubeconfig, kube_context="prod", kube_namespace="fn", kube_labels=labels).settings
    assert settings == PlatformSettings(
        engine="kubernetes",
        kubeconfig=str(kubeconfig),
        kube_context="prod",
        kube_namespace="fn",
        kube_labels=labels,
        registry_host=HOST,
    )


def test_kubeconfig_of_the_environment_is_not_compared_with_a_running_platform(kubeconfig: Path) -> None:
    requested = options(kubeconfig)
    running = PlatformSettings(engine="kubernetes", kubeconfig="/other", registry_host=HOST)
    assert find_conflict(requested, running) is None
    conflict = find_conflict(requested, PlatformSettings())
    assert str(conflict) == "with --engine local instead of kubernetes"
    named = options(kubeconfig, kubeconfig=str(kubeconfig))
    assert str(find_conflict(named, running)) == f"with --kubeconfig /other instead of {kubeconfig}"


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("kubeconfig", "/etc/hosts", "--kubeconfig"),
        ("kube_context", "prod", "--kube-context"),
        ("kube_namespace", "fn", "--kube-namespace"),
        ("kube_labels", {"team": "shop"}, "--kube-label"),
        ("registry_host", HOST, "--registry-host"),
    ],
)
@pytest.mark.parametrize("engine", [{}, {"engine": "local"}], ids=["default", "local"])
def test_option_of_the_cluster_needs_its_engine(
    name: str, value: object, option: str, engine: Mapping[str, object]
) -> None:
    with pytest.raises(UsageError, match=f"^{option} has no meaning without --engine kubernetes") as raised:
        start_options(Path("/data"), {**engine, name: value}, {}, start_timeout=5.0)
    assert "--engine kubernetes" in (raised.value.hint or "")


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("isolation", "namespaces", "--isolation"),
        ("isolation", "auto", "--isolation"),
        ("memory_budget_mb", 4096, "--memory-budget"),
    ],
)
def test_option_of_this_machine_is_refused_with_a_cluster(
    kubeconfig: Path, name: str, value: object, option: str
) -> None:
    with pytest.raises(UsageError, match=f"^{option} has no meaning with --engine kubernetes: "):
        options(kubeconfig, **{name: value})


def test_cluster_needs_the_address_of_the_registry(kubeconfig: Path) -> None:
    with pytest.raises(UsageError, match="needs --registry-host") as raised:
        options(kubeconfig, registry_host="")
    assert "--host" in (raised.value.hint or "")
    assert "API port" in (raised.value.hint or "")


@pytest.mark.parametrize(
    "host", ["localhost", "registry:1", "a.example", "a.example:65535", "10.0.0.5", "[::1]:8480"]
)
def test_registry_host_is_a_host_with_a_port_or_without(kubeconfig: Path, host: str) -> None:
    assert options(kubeconfig, registry_host=host).settings.registry_host == host


@pytest.mark.parametrize(
    "host",
    [
        *("registry", "http://a.example", "a.example/x", "a.example:", "a.example:0", "a.example:65536", "a..b"),
        *("::1", "-a.example", "a b.example", "ä.example", "user@a.example", "a.example\n"),
    ],
)
def test_registry_host_that_no_image_name_can_have_is_refused(kubeconfig: Path, host: str) -> None:
    with pytest.raises(UsageError, match=r"is not HOST\[:PORT\]"):
        options(kubeconfig, registry_host=host)


@pytest.mark.parametrize("name", ["", "Fn", "fn_1", "-fn", "fn.shop", "f" * 64])
def test_namespace_without_the_grammar_of_kubernetes_is_refused(kubeconfig: Path, name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a namespace"):
        options(kubeconfig, kube_namespace=name)


@pytest.mark.parametrize(
    "key", ["", "-a", "a-", "a b", "ä", "x" * 64, "/a", "a/", "a/b/c", "Example.com/a", "a_b/c", f"{'a.' * 127}a/b"]
)
def test_key_of_a_label_without_the_grammar_of_kubernetes_is_refused(kubeconfig: Path, key: str) -> None:
    with pytest.raises(UsageError, match="is not the key of a label"):
        options(kubeconfig, kube_labels={key: "v"})


@pytest.mark.parametrize("value", ["-a", "a-", "a b", "a/b", "ä", "x" * 64, "a\n"])
def test_value_of_a_label_without_the_grammar_of_kubernetes_is_refused(kubeconfig: Path, value: str) -> None:
    with pytest.raises(UsageError, match="has no valid value"):
        options(kubeconfig, kube_labels={"team": value})


@pytest.mark.parametrize("key", ["fnkit.dev/function", "app.kubernetes.io/managed-by"])
def test_label_of_the_platform_is_refused(kubeconfig: Path, key: str) -> None:
    with pytest.raises(UsageError, match=f"^--kube-label {key} is a label of the platform"):
        options(kubeconfig, kube_labels={key: "v"})


def test_missing_extra_is_an_error_with_an_install_hint(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])  # simulates a missing package, even if another test has imported it
    monkeypatch.delitem(sys.modules, "lightkube", raising=False)
    with pytest.raises(PlatformError) as missing:
        options(kubeconfig)
    assert missing.value.code == "kubernetes-missing"
    assert "'.[kubernetes]'" in (missing.value.hint or "")


def test_cluster_is_described_by_the_first_file_of_the_environment(kubeconfig: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("{}")
    outside = tmp_path / "no-account"
    home = str(tmp_path / "home")
    assert find_kubeconfig("", {"HOME": home}, service_account=outside) == str(kubeconfig)
    environ = {"HOME": home, "KUBECONFIG": f":{other}:{kubeconfig}"}
    assert find_kubeconfig("", environ, service_account=outside) == str(other)
    assert find_kubeconfig(str(kubeconfig), environ, service_account=outside) == str(kubeconfig)


def test_relative_file_is_made_absolute(kubeconfig: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(kubeconfig.parent)
    assert find_kubeconfig("config", {}) == str(kubeconfig)


def test_account_of_a_pod_needs_no_file(tmp_path: Path) -> None:
    assert find_kubeconfig("", {"KUBECONFIG": "/missing"}, service_account=tmp_path) == ""


@pytest.mark.parametrize("given", ["", "/missing/config"])
def test_file_that_does_not_exist_is_an_error_with_its_path(tmp_path: Path, given: str) -> None:
    environ = {"KUBECONFIG": "/missing/config"}
    with pytest.raises(UsageError, match="no file /missing/config that describes the cluster") as raised:
        find_kubeconfig(given, environ, service_account=tmp_path / "no-account")
    assert "--kubeconfig" in (raised.value.hint or "")
